"""Who the speakers of a call are: what the stages found of them, and a person's correction."""

from collections.abc import Mapping

from sqlalchemy.orm import Session

from callytics.db.models import Call
from callytics.db.stage_runs import StageRuns
from callytics.db.turns import Turns
from callytics.domain.audio import PreparedAudio
from callytics.domain.conversation import Heard, reassign
from callytics.domain.sentiment import of_call
from callytics.domain.serial import from_json, to_json
from callytics.domain.stages import Stage, StageStatus
from callytics.domain.transcript import Diarization, Role, Word
from callytics.errors import TranscriptNotReadyError


def heard(session: Session, call: Call) -> Heard:
    """What preprocess, diarize and transcribe left of the call. Those stages are done."""
    outputs = StageRuns(session).outputs(call.id, Stage.PREPROCESS, Stage.DIARIZE, Stage.TRANSCRIBE)
    audio = from_json(PreparedAudio, outputs[Stage.PREPROCESS])
    words = outputs[Stage.TRANSCRIBE]["words"]
    return Heard(
        duration_s=audio.duration_s,
        attribution=audio.attribution,
        words=tuple(from_json(Word, word) for word in words),
        diarization=from_json(Diarization, outputs[Stage.DIARIZE]),
        channels=call.channels,
        speaker_roles=call.speaker_roles,
    )


def correct(session: Session, call: Call, roles: Mapping[str, Role]) -> None:
    """Give speakers the `roles` that a person says, and the call its turns' roles and metrics anew.

    Speakers that are not named keep an earlier correction. The caller holds the call's lock, and nothing
    of the call moves any more (a running stage would store the old roles). Raises
    TranscriptNotReadyError if a re-run of the merge has not come to its end.
    """
    if StageRuns(session).status(call.id, Stage.MERGE) is not StageStatus.DONE:
        raise TranscriptNotReadyError
    call.speaker_roles = {
        **call.speaker_roles,
        **{name: role.value for name, role in roles.items()},
    }
    turns = Turns(session)
    conversation = reassign(turns.of(call.id), heard(session, call))
    turns.assign(call.id, conversation.turns)
    call.metrics = to_json(conversation.metrics)
    call.sentiment = of_call(conversation.turns)
