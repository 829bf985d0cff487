"""The `provider_choices` and `provider_usage` tables."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, delete, func, literal, select
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.orm import Session

from callytics.db.engine import RELAX
from callytics.db.models import ProviderChoice, ProviderUsage
from callytics.domain.providers import Outcome, Use

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
"""The hour of all that is older than hours are kept."""

_BY = ("task", "provider", "model", "outcome")
_COUNTED = ("requests", "prompt_tokens", "output_tokens", "cost_usd", "seconds")


def _added(rows: Insert) -> Insert:
    """To what is counted of the hour."""
    sums = {name: getattr(ProviderUsage, name) + rows.excluded[name] for name in _COUNTED}
    return rows.on_conflict_do_update(index_elements=["hour", *_BY], set_=sums)


# One statement and its own transaction, whose commit need not wait for the disk: it stands in the way of
# an answer that somebody waits for.
_ADD = _added(
    insert(ProviderUsage).values(hour=func.date_trunc("hour", func.clock_timestamp(), "UTC"))
).returning(RELAX)


class ProviderChoices:
    def __init__(self, session: Session) -> None:
        self._session = session

    def all(self) -> Mapping[str, Sequence[str]]:
        """Task -> providers in order, of the tasks for which somebody chose."""
        rows = self._session.execute(select(ProviderChoice.task, ProviderChoice.providers))
        return {row.task: tuple(row.providers) for row in rows}

    def put(self, task: str, providers: Sequence[str]) -> None:
        said = {"providers": list(providers), "changed_at": func.clock_timestamp()}
        self._session.execute(
            insert(ProviderChoice)
            .values(task=task, **said)
            .on_conflict_do_update(index_elements=["task"], set_=said)
        )

    def drop(self, task: str) -> None:
        self._session.execute(delete(ProviderChoice).where(ProviderChoice.task == task))


class ProviderUsages:
    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, use: Use) -> None:
        self._session.execute(_ADD, asdict(use))

    def sums(self, within: timedelta | None = None) -> Sequence[Use]:
        """By task, provider, model and outcome; of the hours that reach into the latest `within`."""
        by = [getattr(ProviderUsage, name) for name in _BY]
        added = [func.sum(getattr(ProviderUsage, name)).label(name) for name in _COUNTED]
        query = select(*by, *added).group_by(*by).order_by(*by)
        if within is not None:
            query = query.where(_reaches_into(within))
        return [
            Use(
                task=row.task,
                provider=row.provider,
                model=row.model,
                outcome=Outcome(row.outcome),
                requests=int(row.requests),
                prompt_tokens=int(row.prompt_tokens),
                output_tokens=int(row.output_tokens),
                cost_usd=row.cost_usd,
                seconds=row.seconds,
            )
            for row in self._session.execute(query)
        ]

    def fold(self, older_than: timedelta) -> None:
        """Let the hours before that be one row of each kind. No sum changes by it: were the rows dropped,
        the counters of /metrics would fall, which Prometheus takes for a restart.
        """
        long_gone = ProviderUsage.hour < func.clock_timestamp() - older_than
        gone = (
            delete(ProviderUsage)
            .where(long_gone, ProviderUsage.hour > LONG_AGO)
            .returning(ProviderUsage)
            .cte("gone")
        )
        by = [gone.c[name] for name in _BY]
        sums = [func.sum(gone.c[name]) for name in _COUNTED]
        rows = insert(ProviderUsage).from_select(
            ["hour", *_BY, *_COUNTED], select(literal(LONG_AGO), *by, *sums).group_by(*by)
        )
        self._session.execute(_added(rows))


def _reaches_into(within: timedelta) -> ColumnElement[bool]:
    return ProviderUsage.hour > func.clock_timestamp() - within - timedelta(hours=1)
