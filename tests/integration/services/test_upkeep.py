"""A round of upkeep does what it can, and says that it was there only when it got to its end."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker
from structlog.testing import capture_logs

from callytics.adapters.audio_store import ObjectAudioStore
from callytics.db.audio_purges import AudioPurges
from callytics.db.engine import unit_of_work
from callytics.db.metric_sums import MetricSums
from callytics.db.models import AudioPurge, Purge
from callytics.db.ticks import Ticks
from callytics.services.stage import StageContext
from callytics.services.upkeep import LAST_WRITE, tidy
from callytics.settings import RetentionSettings, Settings
from tasks import context, upkeep
from tests.support.calls import NoStore
from tests.support.kept import keep
from tests.support.metrics import count_from
from tests.support.waiting import wait_until

Sessions = sessionmaker[Session]
YEAR = timedelta(days=365)


class Stubborn(ObjectAudioStore):
    def delete_prefix(self, prefix: str) -> int:
        if prefix == "calls/stubborn":
            raise PermissionError(prefix)
        return super().delete_prefix(prefix)


class Broken(ObjectAudioStore):
    def delete_older(self, prefix: str, age: timedelta) -> int:
        raise ZeroDivisionError


@pytest.fixture
def purges(sessions: Sessions) -> None:
    """Two deletions that are still to be finished, the stubborn one first."""
    for prefix in ("calls/stubborn", "calls/willing"):
        with unit_of_work(sessions) as session:
            AudioPurges(session).add(prefix)
    with unit_of_work(sessions) as session:
        session.execute(update(AudioPurge).values(created_at=AudioPurge.created_at - LAST_WRITE))


def ticks(sessions: Sessions) -> set[str]:
    with unit_of_work(sessions) as session:
        return set(Ticks(session).ages())


def test_audio_that_cannot_be_deleted_holds_up_nothing_else(
    sessions: Sessions, settings: Settings, purges: None
) -> None:
    store = Stubborn(settings.audio_store_url)
    keep(sessions, "word", age=YEAR)
    wanted = settings.model_copy(update={"retention": RetentionSettings(audio_days=30)})
    with capture_logs() as logs:
        tidy(sessions, store, wanted)
    with unit_of_work(sessions) as session:
        assert "calls/stubborn" in (left := session.scalars(select(AudioPurge.prefix)).all())
        assert "calls/willing" not in left
        assert session.scalars(select(Purge.actor)).all() == ["retention"]
    [said] = [line for line in logs if line["event"] == "audio_not_deleted"]
    assert (said["error"], said["log_level"]) == ("PermissionError", "warning")
    assert ticks(sessions) == {"tidy"}


def test_a_round_that_did_not_get_to_its_end_was_none(
    sessions: Sessions, settings: Settings
) -> None:
    with pytest.raises(ZeroDivisionError):
        tidy(sessions, Broken(settings.audio_store_url), settings)
    assert ticks(sessions) == set()
    tidy(sessions, ObjectAudioStore(settings.audio_store_url), settings)
    assert ticks(sessions) == {"tidy"}


@pytest.fixture
def sweeper(sessions: Sessions) -> Iterator[None]:
    """This process is a worker that beat's messages come to."""
    context.set_current(
        StageContext(
            sessions=sessions, works={}, store=NoStore(), send=lambda _hints: None, worker="test"
        )
    )
    yield
    context._current.clear()


def test_what_ended_is_counted_though_nobody_asks_for_metrics(
    sessions: Sessions, sweeper: None
) -> None:
    count_from(sessions)
    keep(sessions, "word")

    def counted() -> bool:
        upkeep.sweep()
        with unit_of_work(sessions) as session:
            return "callytics_callback_attempts" in MetricSums(session).all()

    wait_until(counted)
