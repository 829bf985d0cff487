from typing import Any

import pytest

from callytics.db.calls import Calls
from callytics.db.engine import unit_of_work
from callytics.db.models import Call
from callytics.domain.stages import Stage, StageStatus
from callytics.domain.transcript import Role, SpeakerSegment, Word
from callytics.errors import TranscriptNotReadyError
from callytics.services.speakers import correct
from tests.support.desk import Desk
from tests.support.recordings import call, side_by_side, silence, wav_bytes

MONO = wav_bytes(call(length_s=12))
STEREO = wav_bytes(side_by_side(call(start_s=1, length_s=4), call(start_s=9, length_s=4)))


def words(text: str, start_s: float) -> list[Word]:
    return [
        Word(text=each, start_s=start_s + n, end_s=start_s + n + 0.9, confidence=0.8)
        for n, each in enumerate(text.split())
    ]


ASKED = words("무엇을 도와드릴까요?", 1.0)
ANSWERED = words("인터넷이 끊겨서 전화드렸어요.", 4.0)
SEGMENTS = [
    SpeakerSegment(speaker="SPEAKER_01", start_s=0.9, end_s=3.0),
    SpeakerSegment(speaker="SPEAKER_00", start_s=3.9, end_s=7.0),
]


@pytest.fixture
def merged(desk: Desk) -> Any:
    """A mono call of two turns, merged."""
    desk.diarizer.segments = SEGMENTS
    desk.transcriber.words = [[*ASKED, *ANSWERED]]
    call_id = desk.call(MONO)
    desk.run(call_id)
    return call_id


def test_words_become_turns_with_speakers_and_roles(desk: Desk, merged: Any) -> None:
    turns = desk.turns(merged)
    assert [(turn.speaker, turn.role, turn.text) for turn in turns] == [
        ("SPEAKER_01", Role.AGENT, "무엇을 도와드릴까요?"),
        ("SPEAKER_00", Role.CUSTOMER, "인터넷이 끊겨서 전화드렸어요."),
    ]
    assert [turn.words for turn in turns] == [tuple(ASKED), tuple(ANSWERED)]
    assert all(0.6 < turn.role_confidence < 1 for turn in turns)


def test_the_call_gets_its_metrics(desk: Desk, merged: Any) -> None:
    metrics = desk.row(merged).metrics or {}
    assert (metrics["duration_s"], metrics["speech_s"], metrics["overlap_s"]) == (12.0, 5.2, 0.0)
    assert metrics["roles"]["agent"]["talk_s"] == 2.1
    assert metrics["roles"]["customer"]["words"] == 3


def test_a_stereo_call_has_the_roles_of_its_channels(desk: Desk) -> None:
    desk.transcriber.words = [words("네 여보세요", 0.5), words("말씀하세요", 1.0)]
    call_id = desk.call(STEREO, channels={"agent": 1, "customer": 0})
    desk.run(call_id)
    turns = desk.turns(call_id)
    assert [(turn.speaker, turn.role) for turn in turns] == [
        ("channel-0", Role.CUSTOMER),
        ("channel-1", Role.AGENT),
    ]
    assert {turn.role_confidence for turn in turns} == {1.0}


def test_a_silent_call_has_no_turns(desk: Desk) -> None:
    call_id = desk.call(wav_bytes(silence(3)))
    desk.run(call_id)
    assert desk.stage(call_id, Stage.MERGE).status is StageStatus.DONE
    assert desk.turns(call_id) == ()
    assert (desk.row(call_id).metrics or {})["silence_share"] == 1.0


def test_a_correction_swaps_roles_and_numbers(desk: Desk, merged: Any) -> None:
    before = (desk.row(merged).metrics or {})["roles"]
    with unit_of_work(desk.sessions) as session:
        locked = Calls(session).lock_or_none(merged)
        assert locked
        correct(session, locked, {"SPEAKER_01": Role.CUSTOMER})
    row, turns = desk.row(merged), desk.turns(merged)
    assert row.speaker_roles == {"SPEAKER_01": "customer"}
    assert [turn.role for turn in turns] == [Role.CUSTOMER, Role.AGENT]
    assert {turn.role_confidence for turn in turns} == {1.0}
    after = (row.metrics or {})["roles"]
    assert (after["agent"], after["customer"]) == (before["customer"], before["agent"])
    assert [turn.words for turn in turns] == [tuple(ASKED), tuple(ANSWERED)]


def test_a_correction_outlives_another_merge(desk: Desk) -> None:
    desk.diarizer.segments = SEGMENTS
    desk.transcriber.words = [[*ASKED, *ANSWERED]]
    call_id = desk.call(MONO, speaker_roles={"SPEAKER_01": "customer", "SPEAKER_00": "agent"})
    desk.run(call_id)
    assert [turn.role for turn in desk.turns(call_id)] == [Role.CUSTOMER, Role.AGENT]


def test_a_call_that_is_not_merged_takes_no_correction(desk: Desk) -> None:
    call_id = desk.call(MONO)
    desk.run(call_id, Stage.PREPROCESS)
    with desk.sessions() as session, pytest.raises(TranscriptNotReadyError):
        correct(session, session.get_one(Call, call_id), {"SPEAKER_00": Role.AGENT})
