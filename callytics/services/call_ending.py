"""What follows the end of a call: a place in a batch where its client asked for the full analysis, else
the callback that tells of it.
"""

from uuid import UUID

from sqlalchemy.orm import Session

from callytics.db.calls import Calls
from callytics.db.models import Call, CallEnding, Job
from callytics.domain.delivery import Event
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

    def read(self, session: Session, job: Job) -> UUID:
        return session.get_one(CallEnding, job.id).call_id

    def compute(self, inputs: UUID, progress: Progress) -> UUID:  # noqa: ARG002
        return inputs

    def write(self, session: Session, job: Job, found: UUID) -> End:
        """As the call is now: a re-run that has begun in the meantime tells of its own end."""
        call = Calls(session).lock_or_none(found)
        if call is None or call.status not in (JobStatus.COMPLETED, JobStatus.FAILED):
            return End()
        if call.analyse and call.status is JobStatus.COMPLETED:
            return End(hints=batches.join(session, call, self._settings))
        if call.callback_url is None:
            return End()
        return End(hints=[_tell(session, call, call.callback_url, job.id)])


def _tell(session: Session, call: Call, url: str, ending: UUID) -> JobHint:
    result = CallResult.of(Calls(session).owned(call.client_id, call.id))
    return delivery.enqueue(
        session,
        client_id=call.client_id,
        url=url,
        event=Event.CALL_COMPLETED,
        key=f"call:{call.id}:{ending}",
        body=result.model_dump_json().encode(),
        call_id=call.id,
        supersedes=delivery.latest_of_call(session, call.id),
    )
