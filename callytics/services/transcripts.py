"""A call's turns, out of their rows, as the domain reads them."""

from collections.abc import Sequence
from enum import StrEnum

from callytics.db.models import Call, CallTurn
from callytics.domain.formats import FORMATS
from callytics.domain.serial import from_json
from callytics.domain.stages import Stage, StageStatus
from callytics.domain.transcript import Turn
from callytics.errors import TranscriptNotReadyError


class TranscriptFormat(StrEnum):
    JSON = "json"
    TXT = "txt"
    SRT = "srt"
    VTT = "vtt"
    CSV = "csv"


def turn_of(row: CallTurn) -> Turn:
    """`row` has its words loaded."""
    return from_json(
        Turn,
        {
            "index": row.index,
            "start_s": row.start_s,
            "end_s": row.end_s,
            "speaker": row.speaker,
            "text": row.text,
            "words": row.words,
            "sentences": row.sentences,
            "role": row.role,
            "role_confidence": row.role_confidence,
            "sentiment": row.sentiment,
        },
    )


def require_transcript(call: Call) -> None:
    """A call without a turn has a transcript once its merge is done: nobody spoke."""
    merged = any(
        run.stage is Stage.MERGE and run.status is StageStatus.DONE for run in call.stage_runs
    )
    if not (merged or call.turns):
        raise TranscriptNotReadyError


def render(turns: Sequence[CallTurn], form: TranscriptFormat) -> str:
    """The transcript as a file of any format but JSON, which is the API's own."""
    return FORMATS[form](map(turn_of, turns))
