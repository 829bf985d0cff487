"""How agent and customer speak with each other: four figures, each with its counts and its evidence.

They are found by rules, never by asking a model, so that a person finds the same.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from callytics.domain.answering import AnswerOutcome, Question, is_back_channel, questions
from callytics.domain.metrics import RoleMetrics
from callytics.domain.speech_level import Level, level_of
from callytics.domain.transcript import Place, Role, SentimentLabel, Turn


class NoScore(StrEnum):
    """Why a figure has no score."""

    ROLES_UNKNOWN = "roles_unknown"
    NO_SENTENCES = "no_sentences"
    """The call was not punctuated (yet)."""
    NO_SENTIMENT = "no_sentiment"
    """Its sentiment was not judged (yet)."""
    NOTHING_TO_JUDGE = "nothing_to_judge"


@dataclass(frozen=True, kw_only=True, slots=True)
class Politeness:
    """How much of what the agent says has a polite ending (하십시오체, 해요체).

    score: polite by sentences. sentences: the agent's, less those without a verb's ending: back-channels,
    names, unfinished ones, other languages. evidence: the endings that are not polite.
    """

    score: float | None = None
    reason: NoScore | None = None
    sentences: int = 0
    polite: int = 0
    evidence: tuple[Place, ...] = ()


class Acknowledgement(StrEnum):
    APOLOGY = "apology"
    UNDERSTANDING = "understanding"
    THANKS = "thanks"
    """For patience."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Complaint:
    """A customer's turn that sounds negative.

    answer_turn: the agent's next turn that is more than a back-channel, if there is one. acknowledged_by,
    phrase: what it acknowledges the complaint with.
    """

    turn: int
    answer_turn: int | None = None
    acknowledged_by: Acknowledgement | None = None
    phrase: Place | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Empathy:
    """How many of the customer's turns that sound negative the agent's next turn acknowledges.

    score: acknowledged by complaints.
    """

    score: float | None = None
    reason: NoScore | None = None
    complaints: int = 0
    acknowledged: int = 0
    evidence: tuple[Complaint, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Interruption:
    """at_s: seconds from the start of the audio; turn: the one that begins with it."""

    by: Role
    at_s: float
    turn: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Interruptions:
    """Who begins to speak inside the other's speech and outlasts it, as `metrics` count it.

    score: the share of the agent's turns that do not begin so. by_agent_per_minute: of the customer's
    talk; by_customer_per_minute: of the agent's. evidence: none in calls measured before it was kept.
    """

    score: float | None = None
    reason: NoScore | None = None
    by_agent: int = 0
    by_customer: int = 0
    by_agent_per_minute: float = 0.0
    by_customer_per_minute: float = 0.0
    evidence: tuple[Interruption, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Answering:
    """How many of the customer's questions the agent answers before the next one.

    score: answered by questions. promised: the agent only said that this would be found out.
    """

    score: float | None = None
    reason: NoScore | None = None
    questions: int = 0
    answered: int = 0
    promised: int = 0
    unanswered: int = 0
    evidence: tuple[Question, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Communication:
    """Four figures found by rules, each with a score (0..1), its counts and its evidence.

    Without a score, `reason` says why. There is no overall grade.
    """

    politeness: Politeness
    empathy: Empathy
    interruptions: Interruptions
    answering: Answering


def assess(turns: Sequence[Turn], metrics: Mapping[Role, RoleMetrics]) -> Communication:
    """The figures of a call, from its turns in order and the `metrics` of each role."""
    return Communication(
        politeness=politeness(turns),
        empathy=empathy(turns),
        interruptions=interruptions(turns, metrics),
        answering=answering(turns),
    )


def politeness(turns: Sequence[Turn]) -> Politeness:
    if reason := _missing(turns, Role.AGENT):
        return Politeness(reason=reason)
    judged = [(place, level) for place, level in _endings(turns) if level is not Level.NONE]
    rude = tuple(place for place, level in judged if level is Level.PLAIN)
    polite = len(judged) - len(rude)
    return Politeness(
        score=_share(polite, len(judged)),
        reason=_nothing(judged),
        sentences=len(judged),
        polite=polite,
        evidence=rude,
    )


def _endings(turns: Iterable[Turn]) -> Iterator[tuple[Place, Level]]:
    """The ending of each of the agent's sentences, and its level."""
    for turn in turns:
        if turn.role is Role.AGENT:
            for index, sentence in enumerate(turn.sentences):
                level, start, end = level_of(sentence.text)
                yield Place(turn=turn.index, sentence=index, start=start, end=end), level


def empathy(turns: Sequence[Turn]) -> Empathy:
    if reason := _missing(turns, Role.AGENT, Role.CUSTOMER):
        return Empathy(reason=reason)
    if not any(turn.sentiment for turn in turns):
        return Empathy(reason=NoScore.NO_SENTIMENT)
    complaints = tuple(
        _complaint(turn, turns[at + 1 :]) for at, turn in enumerate(turns) if _complains(turn)
    )
    acknowledged = sum(one.phrase is not None for one in complaints)
    return Empathy(
        score=_share(acknowledged, len(complaints)),
        reason=_nothing(complaints),
        complaints=len(complaints),
        acknowledged=acknowledged,
        evidence=complaints,
    )


def _complains(turn: Turn) -> bool:
    negative = turn.sentiment is not None and turn.sentiment.label is SentimentLabel.NEGATIVE
    return negative and turn.role is Role.CUSTOMER


def _complaint(turn: Turn, following: Iterable[Turn]) -> Complaint:
    answers = (one for one in following if one.role is Role.AGENT and not is_back_channel(one))
    answer = next(answers, None)
    if answer is None:
        return Complaint(turn=turn.index)
    kind, phrase = _acknowledgement(answer)
    return Complaint(turn=turn.index, answer_turn=answer.index, acknowledged_by=kind, phrase=phrase)


def _acknowledgement(answer: Turn) -> tuple[Acknowledgement | None, Place | None]:
    for index, sentence in enumerate(answer.sentences):
        for kind, phrases in _ACKNOWLEDGES.items():
            if found := phrases.search(sentence.text):
                start, end = found.span()
                return kind, Place(turn=answer.index, sentence=index, start=start, end=end)
    return None, None


def interruptions(turns: Sequence[Turn], metrics: Mapping[Role, RoleMetrics]) -> Interruptions:
    agent, customer = metrics.get(Role.AGENT), metrics.get(Role.CUSTOMER)
    if agent is None or customer is None:
        return Interruptions(reason=NoScore.ROLES_UNKNOWN)
    by_agent, by_customer = agent.interruptions, customer.interruptions
    return Interruptions(
        score=_share(max(0, agent.turns - by_agent), agent.turns),
        reason=None if agent.turns else NoScore.NOTHING_TO_JUDGE,
        by_agent=by_agent,
        by_customer=by_customer,
        by_agent_per_minute=_per_minute(by_agent, customer.talk_s),
        by_customer_per_minute=_per_minute(by_customer, agent.talk_s),
        evidence=tuple(_begun(turns, metrics)),
    )


def _begun(turns: Sequence[Turn], metrics: Mapping[Role, RoleMetrics]) -> Sequence[Interruption]:
    """In order; the turn that begins with one is the speaker's that begins nearest to it."""
    found = [
        Interruption(by=role, at_s=at_s, turn=_nearest(turns, role, at_s))
        for role in (Role.AGENT, Role.CUSTOMER)
        for at_s in metrics[role].interruptions_at_s
    ]
    return sorted(found, key=lambda one: one.at_s)


def _nearest(turns: Iterable[Turn], role: Role, at_s: float) -> int | None:
    own = (turn for turn in turns if turn.role is role)
    nearest = min(own, key=lambda turn: abs(turn.start_s - at_s), default=None)
    return nearest.index if nearest else None


def answering(turns: Sequence[Turn]) -> Answering:
    if reason := _missing(turns, Role.AGENT, Role.CUSTOMER):
        return Answering(reason=reason)
    found = questions(turns)
    outcomes = Counter(one.outcome for one in found)
    return Answering(
        score=_share(outcomes[AnswerOutcome.ANSWERED], len(found)),
        reason=_nothing(found),
        questions=len(found),
        answered=outcomes[AnswerOutcome.ANSWERED],
        promised=outcomes[AnswerOutcome.PROMISED],
        unanswered=outcomes[AnswerOutcome.UNANSWERED],
        evidence=found,
    )


def _missing(turns: Sequence[Turn], *roles: Role) -> NoScore | None:
    if not {turn.role for turn in turns}.issuperset(roles):
        return NoScore.ROLES_UNKNOWN
    if not any(turn.sentences for turn in turns):
        return NoScore.NO_SENTENCES
    return None


def _nothing(judged: Sequence[object]) -> NoScore | None:
    return None if judged else NoScore.NOTHING_TO_JUDGE


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _per_minute(count: int, talk_s: float) -> float:
    return round(60 * count / talk_s, 2) if talk_s > 0 else 0.0


_FEELINGS = (
    "답답|속상|불편|불안|당황|황당|놀라|난처|곤란|번거로|서운|억울|염려|걱정|힘드|실망|언짢"
    "|화(?:가|도)? ?나|짜증(?:이|도)? ?나|기다리시느라"
)
"""With the honorific 시 they are the customer's: 많이 답답하셨겠어요."""

_ACKNOWLEDGES: Mapping[Acknowledgement, re.Pattern[str]] = {
    kind: re.compile(phrases, re.IGNORECASE)
    for kind, phrases in {
        # 죄송하지만 begins a request or a refusal.
        Acknowledgement.APOLOGY: r"(?:죄송|송구|미안)(?!하지만|합니다만|한데|스럽지만|하오나)[가-힣]*"
        r"|사과(?:의 말씀을?)? ?드[가-힣]*|사과의 말씀|유감[가-힣]*"
        r"|\b(?:sorry|apologi[sz]e|apologies)\b",
        Acknowledgement.UNDERSTANDING: rf"(?:{_FEELINGS})[가-힣]{{0,3}}[시셨실][가-힣]*"
        r"|(?:심정|마음|상황|입장|말씀)[가-힣]* (?:[가-힣]+ )?(?:이해|압니다|알고)[가-힣]*"
        r"|이해(?:합니다|해요|됩니다|가 됩니다|가 갑니다|하고 있습니다)|공감[가-힣]*"
        r"|그러(?:셨|시)[겠군][가-힣]*|안타깝[가-힣]*|저라도[가-힣]*"
        r"|당연(?:히|한) [가-힣 ]*(?:화|속상|걱정|말씀)[가-힣]*"
        r"|\bi (?:can |do |completely |fully |totally )*(?:understand|see how|imagine)\b"
        r"|\bthat must (?:be|have been)\b",
        Acknowledgement.THANKS: r"(?:기다려|양해해?|이해해|참아) ?주[시셔][가-힣]* (?:[가-힣]+ )?"
        r"(?:감사|고맙)[가-힣]*|오래 기다리셨[가-힣]*"
        r"|\bthank(?:s| you) for (?:your patience|waiting|holding)\b",
    }.items()
}
