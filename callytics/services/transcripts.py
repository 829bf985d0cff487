"""When a call has a transcript, and how it becomes a file."""

from collections.abc import Sequence
from enum import StrEnum

from callytics.db.models import Call, CallTurn
from callytics.db.turns import turn_of
from callytics.domain.formats import FORMATS
from callytics.domain.stages import Stage, StageStatus
from callytics.errors import CallPurgedError, TranscriptNotReadyError


class TranscriptFormat(StrEnum):
    JSON = "json"
    TXT = "txt"
    SRT = "srt"
    VTT = "vtt"
    CSV = "csv"


def require_transcript(call: Call) -> None:
    """A call without a turn has a transcript once its merge is done: nobody spoke."""
    if call.text_purged_at is not None:
        raise CallPurgedError
    merged = any(
        run.stage is Stage.MERGE and run.status is StageStatus.DONE for run in call.stage_runs
    )
    if not (merged or call.turns):
        raise TranscriptNotReadyError


def render(turns: Sequence[CallTurn], form: TranscriptFormat) -> str:
    """The transcript, its words loaded, as a file of any format but JSON, which is the API's own."""
    return FORMATS[form](turn_of(turn, words=True) for turn in turns)
