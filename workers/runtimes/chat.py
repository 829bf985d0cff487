"""A chat model behind the OpenAI protocol: vLLM, a hosted provider or the embedded engine."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, Self, cast

import httpx2
from openai import APIConnectionError, APIError, APIStatusError
from pydantic import BaseModel, ValidationError

from callytics.domain import summary
from callytics.domain.delivery import retry_after_s
from callytics.domain.excerpt import Line
from callytics.domain.providers import POOR, TASKS, Outcome, outcome_of, own_name
from callytics.domain.transcript import Role
from callytics.errors import AnswerUnusableError, ModelUnavailableError
from callytics.model_files import CATALOG, resolve, revision_of
from callytics.ports import Accept, ChatAnswer, Message, ModelInfo
from callytics.services.providers import Provider, provider_of
from callytics.settings import ModelSettings, Settings
from workers.runtimes.chat_client import ChatClient

LIST_TIMEOUT_S = 10.0
LARGEST_ANSWER_BYTES = 8 * 2**20
LARGEST_COUNT = 10**8
"""Of tokens: more than any context, and few enough that those of a row added up fit an integer."""

UNPINNED = "unpinned"

_THOUGHT = re.compile(r"^\s*<think>.*?</think>", re.DOTALL)
_WARM_UP = (
    Line(role=Role.CUSTOMER, text="영업시간이 몇 시까지인지 궁금해요."),
    Line(role=Role.AGENT, text="저녁 여덟 시까지 합니다."),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What a chat model is asked (`ChatModel.complete`)."""

    messages: Sequence[Message]
    max_tokens: int
    temperature: float
    schema: Mapping[str, Any] | None = None
    accept: Accept | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """What one request came to. `answer` may be there without being taken; `problem` says why not."""

    outcome: Outcome
    seconds: float = 0.0
    answer: ChatAnswer | None = None
    problem: str = ""
    retry_after_s: float | None = None
    """What the server asks for."""


# Of a completion only what is read: servers differ in the rest.


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Details(BaseModel):
    cached_tokens: int | None = None


class _Usage(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class _Completion(BaseModel):
    model: str = ""
    choices: list[_Choice]
    usage: _Usage | None = None


class OpenAiChat:
    """One provider's model. A ChatModel too, for who wants this one and no other."""

    def __init__(self, client: ChatClient, info: ModelInfo, provider: Provider) -> None:
        self.info = info
        self.provider = provider
        self._client = client

    @classmethod
    def load(
        cls,
        model: ModelSettings,
        *,
        where: Path | str,  # noqa: ARG003 (its server has the files)
        device: str,  # noqa: ARG003
        threads: int | None,  # noqa: ARG003
        settings: Settings,
    ) -> Self:
        """The model on its own server; whether that answers shows warm_up.

        Raises ConfigurationError if no server is configured.
        """
        sums_up = model == settings.models.summarize
        task = "slm" if sums_up else "mlm"
        provider = provider_of(model, own_name(model.server), task, settings)
        return cls.at(provider, model, settings)

    @classmethod
    def at(cls, provider: Provider, model: ModelSettings, settings: Settings) -> Self:
        """`model` as `provider` has it."""
        own = provider.own and provider.model == model.model
        info = ModelInfo(
            name=provider.model,
            revision=_revision(model, settings) if own else UNPINNED,
            device="server",
            settings=model.options,
        )
        key = provider.api_key.get_secret_value() if provider.api_key else "none"
        return cls(ChatClient(provider.base_url, key), info, provider)

    def warm_up(self) -> None:
        """Have the server read the part that all summaries' prompts share: its cache keeps it. Who only
        analyses has time: there it is enough that the server answers.
        """
        asked: list[list[Message]] = [[{"role": "user", "content": "안녕하세요"}]]
        if TASKS[self.provider.task] == "summarize":
            asked = [summary.prompt(_WARM_UP, language, limit=100) for language in ("en", "ko")]
        for messages in asked:
            self.complete(messages, max_tokens=1, temperature=0.0, timeout_s=120)

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
        request = Request(
            messages=messages,
            max_tokens=max_tokens,
            temperature=temperature,
            schema=schema,
            accept=accept,
        )
        attempt = self.attempt(request, timeout_s=timeout_s)
        if attempt.outcome is not Outcome.OK or attempt.answer is None:
            kind = AnswerUnusableError if attempt.outcome in POOR else ModelUnavailableError
            raise kind(attempt.problem)
        return attempt.answer

    def attempt(self, request: Request, *, timeout_s: float) -> Attempt:
        """Ask once, within `timeout_s`. Whatever the server does is told in the Attempt."""
        started = monotonic()
        found = self._attempt(request, timeout_s)
        seconds = round(monotonic() - started, 3)
        if found.answer is not None:
            found = replace(found, answer=replace(found.answer, seconds=seconds))
        return replace(_judged(found, request.accept), seconds=seconds)

    def named(self, model: str) -> Self:
        """The same server's model of this name; its revision is what the server has of it.

        Raises ModelUnavailableError if the server has none: some answer with another one.
        """
        if model == self.info.name:
            return self
        try:
            served = self._client.run(self._list(), within_s=LIST_TIMEOUT_S)
        except (APIError, ValueError, TimeoutError):
            served = {model}  # it does not say; then it has to refuse by itself
        if model not in served:
            raise ModelUnavailableError(f"{self._server} does not serve this model.")
        info = replace(self.info, name=model, revision=UNPINNED)
        return type(self)(self._client, info, replace(self.provider, model=model))

    def close(self) -> None:
        self._client.close()

    async def _list(self) -> set[str]:
        return {one.id async for one in self._client.openai.models.list()}

    def _attempt(self, request: Request, timeout_s: float) -> Attempt:
        # Not the errors' texts: servers quote the prompt in their complaints.
        try:
            body = self._client.run(self._ask(request), within_s=timeout_s)
        except TimeoutError:
            problem = f"{self._server} did not answer within {round(timeout_s, 1):g} s."
            return Attempt(outcome=Outcome.TIMEOUT, problem=problem)
        except httpx2.DecodingError:
            return self._malformed()
        except (APIConnectionError, httpx2.TransportError):
            setting = self.provider.address_setting
            problem = f"{self._server} cannot be reached: is it running? ({setting})"
            return Attempt(outcome=Outcome.UNREACHABLE, problem=problem)
        except APIStatusError as error:
            return self._refused(error)
        try:
            completion = _Completion.model_validate_json(body)
        except ValidationError:
            completion = None
        if completion is None or not completion.choices:
            return self._malformed()
        return self._read(completion)

    def _malformed(self) -> Attempt:
        problem = f"{self._server} answers something that is no chat completion."
        return Attempt(outcome=Outcome.MALFORMED, problem=problem)

    async def _ask(self, request: Request) -> bytes:
        """The body, no more of it than an answer may have."""
        body = bytearray()
        async with self._client.openai.chat.completions.with_streaming_response.create(
            model=self.info.name,
            messages=cast("Any", list(request.messages)),
            extra_body=dict(self.provider.extra_body) or None,
            **self.provider.sampling(
                max_tokens=request.max_tokens, temperature=request.temperature
            ),
            **({"response_format": _held_to(request.schema)} if request.schema else {}),
        ) as response:
            async for piece in response.iter_bytes():
                body += piece
                if len(body) > LARGEST_ANSWER_BYTES:
                    return b""  # whatever it is, it is no completion
        return bytes(body)

    def _read(self, completion: _Completion) -> Attempt:
        choice, usage = completion.choices[0], completion.usage or _Usage()
        details = usage.prompt_tokens_details
        prompt, output = _count(usage.prompt_tokens), _count(usage.completion_tokens)
        answer = ChatAnswer(
            text=_THOUGHT.sub("", choice.message.content or "").strip(),
            finish_reason=choice.finish_reason or "",
            provider=self.provider.name,
            model=self.info.name,
            revision=self._revision_of(completion.model),
            prompt_tokens=prompt,
            output_tokens=output,
            cached_tokens=_count(details.cached_tokens if details else None),
            cost_usd=self.provider.cost_usd(prompt, output),
        )
        if choice.finish_reason == "content_filter" or choice.message.refusal:
            problem = f"{self._server} refuses to answer."
            return Attempt(outcome=Outcome.REFUSED, answer=answer, problem=problem)
        return Attempt(outcome=Outcome.OK, answer=answer)

    def _revision_of(self, served: str) -> str:
        """Hosted models are asked for by a name that stands for the latest one: they say which that is."""
        hosted = not self.provider.own and served not in {"", self.info.name}
        return served if hosted else self.info.revision

    def _refused(self, error: APIStatusError) -> Attempt:
        hint = _HINTS.get(error.status_code, "").format(provider=self.provider)
        return Attempt(
            outcome=outcome_of(error.status_code),
            problem=f"{self._server} answers HTTP {error.status_code}{hint}.",
            retry_after_s=retry_after_s(
                error.response.headers.get("Retry-After"), now=datetime.now(UTC)
            ),
        )

    @property
    def _server(self) -> str:
        return f"The chat server at {self.provider.server}"


def _count(said: int | None) -> int:
    """What a server says of tokens, as a number that a row can hold."""
    return min(max(said or 0, 0), LARGEST_COUNT)


def _judged(attempt: Attempt, accept: Accept | None) -> Attempt:
    """With the caller's word on the answer."""
    if accept is None or attempt.answer is None or attempt.outcome is not Outcome.OK:
        return attempt
    try:
        accept(attempt.answer)
    except AnswerUnusableError as error:
        cut = attempt.answer.finish_reason == "length"
        outcome = Outcome.TRUNCATED if cut else Outcome.UNUSABLE
        return replace(attempt, outcome=outcome, problem=error.detail)
    return attempt


def _held_to(schema: Mapping[str, Any]) -> Any:
    """Structured output as the OpenAI protocol asks for it; vLLM and llama.cpp both enforce it."""
    return {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": dict(schema), "strict": True},
    }


_HINTS: Mapping[int, str] = {
    400: ": it refuses the request; the prompt may be longer than its context",
    401: ": it wants another key ({provider.key_setting})",
    403: ": it wants another key ({provider.key_setting})",
    404: ": it does not serve this model ({provider.model_setting})",
    429: ": it is busy",
    503: ": it is loading or busy",
}


def _revision(model: ModelSettings, settings: Settings) -> str:
    """Of the file that our own engine serves; what another server has, only the settings can say."""
    if model.revision is None and model.model in CATALOG:
        with suppress(ModelUnavailableError):
            return revision_of(resolve(model.model, settings), None)
    return model.revision or UNPINNED
