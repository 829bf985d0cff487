"""The `diagnoses` table."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import and_, delete, func, or_, select, tuple_, update
from sqlalchemy.orm import Session, joinedload, undefer

from callytics.db.models import Diagnosis, Job
from callytics.domain.diagnosis import Complaint
from callytics.domain.jobs import JobKind
from callytics.domain.stages import StageStatus
from callytics.errors import DiagnosisNotFoundError


class Diagnoses:
    def __init__(self, session: Session) -> None:
        self._session = session

    def serialise(self, client_id: UUID, content_hash: str) -> None:
        """Let no other transaction ask for the same until this one ends."""
        key = func.hashtextextended(f"diagnoses:{client_id}:{content_hash}", 0)
        self._session.execute(select(func.pg_advisory_xact_lock(key)))

    def reuse(
        self,
        client_id: UUID,
        content_hash: str,
        within: timedelta,
        *,
        by: Mapping[str, str],
        least: timedelta,
    ) -> Diagnosis | None:
        """What was asked with the same content lately and is under way with more than `least` of its time
        left, or made by one of the providers `by` with the model that it has there; counted as reused.
        """
        under_way = and_(
            Job.status.in_((StageStatus.QUEUED, StageStatus.RUNNING)),
            Diagnosis.deadline_at > func.clock_timestamp() + least,
        )
        made_by = tuple_(Diagnosis.provider, Diagnosis.model).in_(list(by.items()))
        made = and_(Job.status == StageStatus.DONE, or_(Diagnosis.provider.is_(None), made_by))
        found = self._session.scalar(
            select(Diagnosis)
            .join(Diagnosis.job)
            .where(
                Diagnosis.client_id == client_id,
                Diagnosis.content_hash == content_hash,
                Diagnosis.received_at > func.clock_timestamp() - within,
                or_(under_way, made),
            )
            .order_by(Diagnosis.received_at.desc())
            .limit(1)
        )
        if found is not None:
            self._session.execute(
                update(Diagnosis)
                .where(Diagnosis.id == found.id)
                .values(reused=Diagnosis.reused + 1)
            )
        return found

    def add(
        self,
        job: Job,
        client_id: UUID,
        complaint: Complaint,
        *,
        content_hash: str,
        image_sizes: Mapping[str, Any] | None,
        budget: timedelta,
    ) -> None:
        now = func.statement_timestamp()  # the same in both columns
        self._session.add(
            Diagnosis(
                id=job.id,
                client_id=client_id,
                content_hash=content_hash,
                rests_on=complaint.kind,
                language=complaint.language,
                text=complaint.text,
                image=complaint.jpeg,
                image_sizes=dict(image_sizes) if image_sizes else None,
                received_at=now,
                deadline_at=now + budget,
            )
        )
        self._session.flush()

    def to_make(self, diagnosis_id: UUID) -> tuple[Complaint, float]:
        """The complaint, and the seconds that are left for its diagnosis (below 0: none)."""
        left = func.extract("epoch", Diagnosis.deadline_at - func.clock_timestamp())
        row, left_s = self._session.execute(
            select(Diagnosis, left)
            .where(Diagnosis.id == diagnosis_id)
            .options(undefer(Diagnosis.text), undefer(Diagnosis.image))
        ).one()
        complaint = Complaint(text=row.text, language=row.language, jpeg=row.image)
        return complaint, float(left_s)

    def left(self, after: timedelta, limit: int) -> Sequence[Job]:
        """Jobs, locked, that wait still though the time for them is over by `after`; those that somebody
        else has locked are left out.
        """
        return self._session.scalars(
            select(Job)
            .join(Diagnosis, Diagnosis.id == Job.id)
            .where(
                Job.kind == JobKind.DIAGNOSIS,
                Job.status == StageStatus.QUEUED,
                Diagnosis.deadline_at < func.clock_timestamp() - after,
            )
            .order_by(Diagnosis.deadline_at)
            .limit(limit)
            .with_for_update(of=Job, skip_locked=True)
            .execution_options(populate_existing=True)
        ).all()

    def store(self, diagnosis_id: UUID, **found: Any) -> None:
        self._session.execute(update(Diagnosis).where(Diagnosis.id == diagnosis_id).values(found))

    def owned(self, client_id: UUID, diagnosis_id: UUID) -> Diagnosis:
        """With its job, without text and image; raises DiagnosisNotFoundError."""
        found = self._session.scalar(
            select(Diagnosis)
            .where(Diagnosis.id == diagnosis_id, Diagnosis.client_id == client_id)
            .options(joinedload(Diagnosis.job))
        )
        if found is None:
            raise DiagnosisNotFoundError
        return found

    def forget(self, older_than: timedelta) -> None:
        """Drop descriptions, photos and diagnoses that nobody will ask for again."""
        old = select(Diagnosis.id).where(
            Diagnosis.received_at < func.clock_timestamp() - older_than
        )
        self._session.execute(delete(Job).where(Job.id.in_(old)))
