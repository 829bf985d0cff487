"""What follows the end of a call: a place in a batch where its client asked for the full analysis, else
the callback that tells of it.
"""

from uuid import UUID

from sqlalchemy.orm import Session

from callytics.db.call_endings import CallEndings
from callytics.db.calls import Calls
from callytics.db.models import Call, CallEnding, Job
from callytics.domain.delivery import Event, to_body
from callytics.domain.job import JobStatus
from callytics.domain.jobs import JobKind
from callytics.ports import Progress
from callytics.services import batches, delivery
from callytics.services.call_result import CallResult
from callytics.services.job_work import End, JobHint
from callytics.settings import Settings


class CallEndedWork:
    kind = JobKind.CALL_ENDED

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def read(self, session: Session, job: Job) -> UUID | End:
        ending = session.get(CallEnding, job.id)
        return ending.call_id if ending else End()  # the call was deleted in the meantime

    def compute(self, inputs: UUID, progress: Progress) -> UUID:  # noqa: ARG002
        return inputs

    def write(self, session: Session, job: Job, found: UUID) -> End:
        """As the call is now: a re-run that has begun, or ended, in the meantime tells of its own end."""
        call = Calls(session).lock_or_none(found)
        if call is None or call.status not in (JobStatus.COMPLETED, JobStatus.FAILED):
            return End()
        if CallEndings(session).latest(call.id) != job.id:
            return End()
        if call.analyse and call.status is JobStatus.COMPLETED:
            return End(hints=batches.join(session, call, self._settings))
        if call.callback_url is None:
            return End()
        return End(hints=[_tell(session, call, call.callback_url, job.id)])


def _tell(session: Session, call: Call, url: str, ending: UUID) -> JobHint:
    result = CallResult.of(Calls(session).owned(call.client_id, call.id)).model_dump(mode="json")
    earlier = delivery.latest_of_call(session, call.id)
    if earlier is not None:
        result["supersedes"] = str(earlier)
    return delivery.enqueue(
        session,
        client_id=call.client_id,
        url=url,
        event=Event.CALL_COMPLETED,
        key=f"call:{call.id}:{ending}",
        body=to_body(result),
        call_id=call.id,
        supersedes=earlier,
    )
