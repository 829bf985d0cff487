import pytest

from callytics.domain.metrics import CallMetrics, measure
from callytics.domain.roles import RoleGuess
from callytics.domain.transcript import Role, SpeakerSegment, Turn

ROLES = {
    "a": RoleGuess(role=Role.AGENT, confidence=1.0),
    "b": RoleGuess(role=Role.CUSTOMER, confidence=1.0),
}


def segments(**spans: list[tuple[float, float]]) -> list[SpeakerSegment]:
    return [
        SpeakerSegment(speaker=speaker, start_s=start_s, end_s=end_s)
        for speaker, each in spans.items()
        for start_s, end_s in each
    ]


def turn(index: int, speaker: str, text: str, start_s: float = 0.0, end_s: float = 1.0) -> Turn:
    return Turn(index=index, start_s=start_s, end_s=end_s, speaker=speaker, text=text)


def measured(who: list[SpeakerSegment], *turns: Turn, duration_s: float = 60.0) -> CallMetrics:
    return measure(turns, who, ROLES, duration_s=duration_s)


def test_talk_and_silence() -> None:
    found = measured(segments(a=[(2, 12), (30, 40)], b=[(14, 24)]))
    assert (found.speech_s, found.silence_s, found.silence_share) == (30, 30, 0.5)
    assert (found.longest_silence_s, found.longest_silence_start_s) == (20, 40)
    agent, customer = found.roles[Role.AGENT], found.roles[Role.CUSTOMER]
    assert (agent.talk_s, customer.talk_s) == (20, 10)
    assert (agent.talk_share, customer.talk_share) == (0.6667, 0.3333)


def test_overlap_counts_for_each_speaker_but_once_as_speech() -> None:
    found = measured(segments(a=[(0, 10)], b=[(8, 18)]))
    assert (found.speech_s, found.overlap_s, found.overlap_share) == (18, 2, 0.1111)
    assert found.roles[Role.AGENT].talk_s + found.roles[Role.CUSTOMER].talk_s == 20


@pytest.mark.parametrize(
    ("what", "who", "by_agent", "by_customer"),
    [
        ("takes over", segments(a=[(0, 10)], b=[(8, 18)]), 0, 1),
        ("says yes meanwhile", segments(a=[(0, 10)], b=[(4, 4.6)]), 0, 0),
        ("starts a little early", segments(a=[(0, 10)], b=[(9.7, 18)]), 0, 0),
        ("waits", segments(a=[(0, 10)], b=[(10.2, 18)]), 0, 0),
        ("takes over in a hesitation", segments(a=[(0, 5), (5.3, 7)], b=[(4.8, 9)]), 0, 1),
        ("takes over twice", segments(a=[(0, 10), (20, 30)], b=[(8, 18), (28, 40)]), 0, 2),
        ("both take over", segments(a=[(0, 10), (17, 30)], b=[(8, 18)]), 1, 1),
        ("begin together", segments(a=[(0, 10)], b=[(0, 18)]), 0, 0),
    ],
)
def test_an_interruption_begins_inside_anothers_speech_and_outlasts_it(
    what: str, who: list[SpeakerSegment], by_agent: int, by_customer: int
) -> None:
    roles = measured(who).roles
    assert roles[Role.AGENT].interruptions == by_agent
    assert roles[Role.CUSTOMER].interruptions == by_customer


def test_interruptions_say_when_they_began() -> None:
    found = measured(segments(a=[(0, 10), (20, 30)], b=[(8, 18), (28, 40)])).roles
    assert found[Role.CUSTOMER].interruptions_at_s == (8, 28)
    assert found[Role.AGENT].interruptions_at_s == ()


def test_speed_is_by_talk_time() -> None:
    found = measured(
        segments(a=[(0, 30)]),
        turn(0, "a", "네, 고객님. 3만 원입니다!"),
        turn(1, "a", "OK 감사합니다 …"),
    )
    agent = found.roles[Role.AGENT]
    assert (agent.turns, agent.words, agent.syllables) == (2, 6, 14)
    assert (agent.words_per_minute, agent.syllables_per_minute) == (12, 28)


def test_a_speaker_of_no_known_role_is_counted_as_unknown() -> None:
    found = measured(segments(a=[(0, 10)], c=[(20, 30)]))
    assert set(found.roles) == {Role.AGENT, Role.UNKNOWN}


def test_turns_stand_in_for_segments() -> None:
    found = measured([], turn(0, "a", "네", 5, 6), turn(1, "b", "네", 7, 9))
    assert (found.speech_s, found.longest_silence_start_s) == (3, 9)


def test_a_silent_call() -> None:
    found = measured([])
    assert (found.speech_s, found.silence_share, found.longest_silence_s) == (0, 1, 60)
    assert (found.overlap_s, found.overlap_share, found.roles) == (0, 0, {})


def test_speech_beyond_the_end_of_the_audio_is_not_counted() -> None:
    found = measured(segments(a=[(50, 62)]))
    assert (found.speech_s, found.silence_s) == (10, 50)


def test_swapping_the_roles_swaps_their_numbers() -> None:
    who = segments(a=[(0, 10)], b=[(8, 18), (20, 25)])
    turns = [turn(0, "a", "네"), turn(1, "b", "아니요 아닙니다")]
    swapped = {"a": ROLES["b"], "b": ROLES["a"]}
    before = measure(turns, who, ROLES, duration_s=60)
    after = measure(turns, who, swapped, duration_s=60)
    assert after.roles[Role.AGENT] == before.roles[Role.CUSTOMER]
    assert after.roles[Role.CUSTOMER] == before.roles[Role.AGENT]
