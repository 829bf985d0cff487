"""The `batch_files` table: files of consultations that clients sent."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session, undefer

from callytics.db.models import BatchFile
from callytics.errors import BatchFileNotFoundError


class BatchFiles:
    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, client_id: UUID, filename: str, content: str) -> BatchFile:
        file = BatchFile(
            client_id=client_id,
            filename=filename,
            content=content,
            size=len(content.encode()),
            created_at=self._session.scalars(select(func.clock_timestamp())).one(),
        )
        self._session.add(file)
        self._session.flush()
        return file

    def get(self, client_id: UUID, file_id: UUID, *, with_content: bool = False) -> BatchFile:
        """Raises BatchFileNotFoundError."""
        query = select(BatchFile).where(BatchFile.id == file_id, BatchFile.client_id == client_id)
        if with_content:
            query = query.options(undefer(BatchFile.content))
        found = self._session.scalar(query)
        if found is None:
            raise BatchFileNotFoundError
        return found

    def drop(self, client_id: UUID, file_id: UUID) -> None:
        """Raises BatchFileNotFoundError, also to the second of two who drop it at once."""
        dropped = self._session.execute(
            delete(BatchFile)
            .where(BatchFile.id == file_id, BatchFile.client_id == client_id)
            .returning(BatchFile.id)
        )
        if dropped.first() is None:
            raise BatchFileNotFoundError

    def forget(self, older_than: timedelta) -> None:
        """Drop files, and with them what was said, that were sent long ago."""
        self._session.execute(
            delete(BatchFile).where(BatchFile.created_at < func.clock_timestamp() - older_than)
        )
