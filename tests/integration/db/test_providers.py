"""Counts of requests to providers over the years."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, sessionmaker

from callytics.adapters.audio_store import ObjectAudioStore
from callytics.db.engine import unit_of_work
from callytics.db.models import ProviderUsage
from callytics.db.providers import LONG_AGO, ProviderUsages
from callytics.domain.providers import Outcome, Use
from callytics.services.upkeep import tidy
from callytics.settings import LlmSettings, Settings

DAY = timedelta(days=1)


def note(sessions: sessionmaker[Session], *, days_ago: int, outcome: Outcome = Outcome.OK) -> None:
    """One request, so many days ago."""
    with unit_of_work(sessions) as session:
        ProviderUsages(session).add(
            Use(
                task="mlm",
                provider="openai",
                model="m",
                outcome=outcome,
                seconds=0.5,
                prompt_tokens=10,
                output_tokens=2,
                cost_usd=0.25,
            )
        )
        this_hour = func.date_trunc("hour", func.clock_timestamp(), "UTC")
        session.execute(
            update(ProviderUsage)
            .where(ProviderUsage.hour == this_hour)
            .values(hour=this_hour - DAY * days_ago)
        )


@pytest.fixture
def store(tmp_path: Path) -> ObjectAudioStore:
    return ObjectAudioStore(tmp_path.as_uri())


@pytest.fixture
def old_counts(sessions: sessionmaker[Session]) -> None:
    note(sessions, days_ago=900)
    note(sessions, days_ago=401)
    note(sessions, days_ago=401, outcome=Outcome.TIMEOUT)
    note(sessions, days_ago=399)
    note(sessions, days_ago=0)


def rows(session: Session) -> list[tuple[bool, str, int]]:
    """Whether it is long ago, outcome and requests of each row."""
    hour = ProviderUsage.hour
    found = session.execute(
        select(hour, ProviderUsage.outcome, ProviderUsage.requests).order_by(
            hour, ProviderUsage.outcome
        )
    )
    return [(row.hour == LONG_AGO, row.outcome, row.requests) for row in found]


@pytest.mark.usefixtures("old_counts")
def test_hours_that_are_long_gone_become_one_and_no_sum_changes(
    sessions: sessionmaker[Session], settings: Settings, store: ObjectAudioStore
) -> None:
    folded = [(True, "ok", 2), (True, "timeout", 1), (False, "ok", 1), (False, "ok", 1)]
    with unit_of_work(sessions) as session:
        before = ProviderUsages(session).sums(), ProviderUsages(session).sums(DAY * 400)
    for _ in range(2):
        tidy(sessions, store, settings)
        with unit_of_work(sessions) as session:
            usages = ProviderUsages(session)
            assert (usages.sums(), usages.sums(DAY * 400)) == before
            assert rows(session) == folded


@pytest.mark.usefixtures("old_counts")
def test_the_setting_says_how_long_hours_are_kept(
    sessions: sessionmaker[Session], settings: Settings, store: ObjectAudioStore
) -> None:
    tidy(sessions, store, settings)
    tidy(sessions, store, settings.model_copy(update={"llm": LlmSettings(usage_keep_days=1)}))
    with unit_of_work(sessions) as session:
        assert rows(session) == [(True, "ok", 3), (True, "timeout", 1), (False, "ok", 1)]
