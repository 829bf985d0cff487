"""The `provider_choices` and `provider_usage` tables."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from callytics.db.engine import RELAX
from callytics.db.models import ProviderChoice, ProviderUsage
from callytics.domain.providers import Outcome, Use

_COUNTED = ("requests", "prompt_tokens", "output_tokens", "cost_usd", "seconds")

_INSERT = insert(ProviderUsage).values(hour=func.date_trunc("hour", func.clock_timestamp(), "UTC"))
# One statement and its own transaction, whose commit need not wait for the disk: it stands in the way of
# an answer that somebody waits for.
_ADD = _INSERT.on_conflict_do_update(
    index_elements=["hour", "task", "provider", "model", "outcome"],
    set_={
        name: getattr(ProviderUsage, name) + getattr(_INSERT.excluded, name) for name in _COUNTED
    },
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
        by = (
            ProviderUsage.task,
            ProviderUsage.provider,
            ProviderUsage.model,
            ProviderUsage.outcome,
        )
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


def _reaches_into(within: timedelta) -> ColumnElement[bool]:
    return ProviderUsage.hour > func.clock_timestamp() - within - timedelta(hours=1)
