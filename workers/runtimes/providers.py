"""A chat model that several providers can answer for: the first that can, in the order that is chosen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock
from time import monotonic, sleep
from typing import Any, Protocol, Self

import structlog

from callytics.domain.providers import ANSWERED, PASSING, POOR, Outcome, Use, retry_wait_s
from callytics.errors import AnswerUnusableError, ConfigurationError, ModelUnavailableError
from callytics.ports import Accept, ChatAnswer, Message, ModelInfo, ProviderBook
from callytics.services import providers
from callytics.services.providers import Provider
from callytics.settings import Settings
from workers.runtimes.breaker import Breaker
from workers.runtimes.chat import Attempt, OpenAiChat, Request

log = structlog.get_logger(__name__)

LEAST_S = 0.05
"""With less time than that no further request is begun."""


class Server(Protocol):
    """What OpenAiChat is to a chain."""

    @property
    def info(self) -> ModelInfo: ...

    @property
    def provider(self) -> Provider: ...

    def warm_up(self) -> None: ...

    def attempt(self, request: Request, *, timeout_s: float) -> Attempt: ...

    def named(self, model: str) -> Self: ...

    def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A provider of this process, and whether it is left alone at the moment."""

    server: Server
    breaker: Breaker

    @classmethod
    def of(cls, server: Server) -> Self:
        said = server.provider.settings
        return cls(server=server, breaker=Breaker(after=said.rest_after, rest_s=said.rest_s))


class ProviderChain:
    """A ChatModel. Safe for threads; each request obeys the order of that moment."""

    def __init__(
        self,
        model: str,
        *,
        task: str,
        usable: Sequence[str],
        connect: Callable[[str], Member],
        order: Callable[[], Sequence[str]],
        note: Callable[[Use], None],
    ) -> None:
        """`model` is what the task's model is called in the settings, `usable` are the providers that could
        be chosen; `connect` raises ConfigurationError for one that lacks a setting.

        Raises ConfigurationError if all of them do.
        """
        self._model = model
        self._task = task
        self._usable = usable
        self._connect = connect
        self._order = order
        self._note = note
        self._lock = Lock()
        self._members: dict[str, Member] = {}
        self._latest: Sequence[Member] = ()
        self._unusable: Mapping[str, str] = {}
        members, problems = self._now()
        if not members:
            raise ConfigurationError(_told(problems))
        own = (one.server.info for one in members if one.server.provider.own)
        self._info = next(own, members[0].server.info)

    @classmethod
    def load(cls, task: str, settings: Settings, book: ProviderBook | None = None) -> Self:
        """For the task with this name among people; without a `book` as the settings say, uncounted."""
        model = providers.model_of(task, settings)

        def connect(name: str) -> Member:
            return Member.of(
                OpenAiChat.at(providers.resolve(name, task, settings), model, settings)
            )

        def order() -> Sequence[str]:
            chosen = book.chosen(task) if book else None
            return chosen or providers.default_order(task, settings)

        note = book.note if book else _uncounted
        usable = providers.usable(task, settings)
        return cls(model.model, task=task, usable=usable, connect=connect, order=order, note=note)

    @property
    def info(self) -> ModelInfo:
        """With the breakers of those who were to answer the latest request, and all who could be chosen."""
        breakers = {one.server.provider.name: one.breaker.state.value for one in self._latest}
        return replace(self._info, details={"breakers": breakers, "providers": [*self._usable]})

    @property
    def engine(self) -> Server | None:
        """Who is asked first, if that is an engine of our own."""
        members, _ = self._now()
        return members[0].server if members and members[0].server.provider.own else None

    def warm_up(self) -> None:
        """An engine of our own must answer, unless another provider can be asked in its place; a hosted
        one is not paid for nothing.
        """
        engine = self.engine
        if engine is None:
            return
        try:
            engine.warm_up()
        except ModelUnavailableError as error:
            if len(self._now()[0]) == 1:
                raise
            said = engine.provider
            log.warning("engine_not_warm", provider=said.name, task=said.task, problem=error.detail)

    def named(self, model: str) -> "ProviderChain":
        """The same providers with another model, those of them that serve it.

        Raises ModelUnavailableError if none does.
        """
        if model == self._model:
            return self
        found: dict[str, Member] = {}
        members, problems = self._now()
        for member in members:
            name = member.server.provider.name
            try:
                found[name] = Member(server=member.server.named(model), breaker=member.breaker)
            except ModelUnavailableError as error:
                problems[name] = error.detail
        if not found:
            raise ModelUnavailableError(_told(problems))
        return ProviderChain(
            model,
            task=self._task,
            usable=tuple(found),
            connect=found.__getitem__,
            order=partial(tuple, found),
            note=self._note,
        )

    def close(self) -> None:
        for member in self._members.values():
            member.server.close()

    def complete(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float,
        timeout_s: float,
        schema: Mapping[str, Any] | None = None,
        accept: Accept | None = None,
    ) -> ChatAnswer:
        """As the port says; `timeout_s` is for all providers together.

        Each gets an equal share of what is left, unless its own settings say how long a request may
        take. One that has no time left is not begun.
        """
        request = Request(
            messages=messages,
            max_tokens=max_tokens,
            temperature=temperature,
            schema=schema,
            accept=accept,
        )
        members, problems = self._now()
        give_up_at = monotonic() + timeout_s
        outcomes: set[Outcome] = set()
        for heed_breakers in (True, False):
            for place, member in enumerate(members):
                name, left_s = member.server.provider.name, give_up_at - monotonic()
                if outcomes and left_s < LEAST_S:
                    problems[name] = "No time was left for it."
                elif heed_breakers and not member.breaker.admits():
                    problems[name] = "It has kept failing and is left alone for a while."
                else:
                    rest = members[place + 1 :]
                    attempt = self._ask(
                        member,
                        request,
                        left_s=left_s,
                        share_s=left_s / (1 + len(rest)),
                        last=all(other.breaker.is_open for other in rest),
                    )
                    if attempt.outcome is Outcome.OK and attempt.answer is not None:
                        return attempt.answer
                    problems[name] = attempt.problem
                    outcomes.add(attempt.outcome)
            if outcomes:  # else all of them are left alone, and one may be well again
                break
        poor = bool(outcomes) and outcomes <= POOR
        raise (AnswerUnusableError if poor else ModelUnavailableError)(_told(problems))

    def _ask(
        self, member: Member, request: Request, *, left_s: float, share_s: float, last: bool
    ) -> Attempt:
        """One provider's last word, after as many requests as it may be sent. Where it wants more than
        the usual wait and is not the `last` that can be asked, the next one need not wait for it.
        """
        provider, begun, number = member.server.provider, monotonic(), 0
        while True:
            number += 1
            gone_s = monotonic() - begun
            limit_s = provider.limit_s(share_s=share_s - gone_s, left_s=left_s - gone_s)
            attempt = member.server.attempt(request, timeout_s=limit_s)
            self._record(member, attempt)
            patient = last or (attempt.retry_after_s or 0) <= provider.retry_base_s
            again = attempt.outcome in PASSING and number <= provider.retries and patient
            wait_s = retry_wait_s(
                number,
                base_s=provider.retry_base_s,
                retry_after_s=attempt.retry_after_s,
                left_s=share_s - (monotonic() - begun) - LEAST_S,
            )
            if not again or wait_s is None or member.breaker.is_open:
                return attempt
            sleep(wait_s)

    def _record(self, member: Member, attempt: Attempt) -> None:
        provider, answer = member.server.provider, attempt.answer
        if attempt.outcome in ANSWERED:
            if member.breaker.succeeded():
                log.info("provider_back", provider=provider.name, task=provider.task)
        elif member.breaker.failed():
            log.warning(
                "provider_rests",
                provider=provider.name,
                task=provider.task,
                outcome=attempt.outcome.value,
                seconds=provider.settings.rest_s,
            )
        self._note(
            Use(
                task=provider.task,
                provider=provider.name,
                model=provider.model,
                outcome=attempt.outcome,
                seconds=attempt.seconds,
                prompt_tokens=answer.prompt_tokens if answer else 0,
                output_tokens=answer.output_tokens if answer else 0,
                cost_usd=answer.cost_usd if answer else 0.0,
            )
        )

    def _member(self, name: str) -> Member:
        with self._lock:
            if name not in self._members:
                self._members[name] = self._connect(name)
            return self._members[name]

    def _now(self) -> tuple[list[Member], dict[str, str]]:
        """The providers in order, and what those lack that cannot be asked."""
        members: list[Member] = []
        problems: dict[str, str] = {}
        for name in self._order():
            try:
                members.append(self._member(name))
            except ConfigurationError as error:
                problems[name] = error.detail
        self._latest = members
        self._tell_unusable(problems)
        return members, problems

    def _tell_unusable(self, problems: Mapping[str, str]) -> None:
        """Once for each choice, since every request meets them again."""
        with self._lock:
            before, self._unusable = self._unusable, {**problems}
        for name in problems.keys() - before.keys():
            log.warning(
                "provider_not_usable", provider=name, task=self._task, problem=problems[name]
            )


def _uncounted(use: Use) -> None:
    """Nobody keeps a book."""


def _told(problems: Mapping[str, str]) -> str:
    return " ".join(f"{name}: {problem}" for name, problem in problems.items())
