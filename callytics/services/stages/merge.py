"""Words to turns, speakers to roles, and the call's metrics."""

from sqlalchemy.orm import Session

from callytics.db.models import Call
from callytics.db.turns import Turns
from callytics.domain.conversation import Conversation, Heard, converse
from callytics.domain.serial import to_json
from callytics.domain.stages import Stage
from callytics.ports import Computed, Progress
from callytics.services.speakers import heard


class Merge:
    stage = Stage.MERGE

    def read(self, session: Session, call: Call) -> Heard:
        return heard(session, call)

    def compute(self, inputs: Heard, progress: Progress) -> Computed:
        return Computed(value=converse(inputs))

    def write(self, session: Session, call: Call, computed: Computed) -> None:
        conversation: Conversation = computed.value
        Turns(session).replace(call.id, conversation.turns)
        call.metrics = to_json(conversation.metrics)
