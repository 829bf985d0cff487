"""A chat model behind the OpenAI protocol: vLLM, a hosted provider or the embedded engine."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any, Self, cast
from urllib.parse import urlsplit

from openai import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    DefaultHttpxClient,
    OpenAI,
)
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion

from callytics.domain import summary
from callytics.domain.excerpt import Line
from callytics.domain.transcript import Role
from callytics.errors import AnswerUnusableError, ConfigurationError, ModelUnavailableError
from callytics.model_files import CATALOG, resolve, revision_of
from callytics.ports import Accept, ChatAnswer, Message, ModelInfo
from callytics.settings import ModelSettings, Settings

LIST_TIMEOUT_S = 10.0

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_THOUGHT = re.compile(r"^\s*<think>.*?</think>", re.DOTALL)
_WARM_UP = (
    Line(role=Role.CUSTOMER, text="영업시간이 몇 시까지인지 궁금해요."),
    Line(role=Role.AGENT, text="저녁 여덟 시까지 합니다."),
)


class OpenAiChat:
    """A ChatModel. `extra_body` in the settings' options goes with each request, as vLLM wants things."""

    def __init__(
        self,
        client: OpenAI,
        info: ModelInfo,
        *,
        extra_body: Mapping[str, Any] | None = None,
        sums_up: bool = True,
    ) -> None:
        """`sums_up`: it is asked for summaries, whose prompts begin alike."""
        self.info = info
        self._client = client
        self._extra_body = extra_body
        self._sums_up = sums_up

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
        """Raises ConfigurationError if no server is configured; whether it answers shows warm_up."""
        server = model.server or settings.llm.base_url
        if server is None:
            raise ConfigurationError(
                "No chat server is configured: run `callytics up`, or set CALLYTICS_LLM__BASE_URL."
            )
        info = ModelInfo(
            name=model.model,
            revision=_revision(model, settings),
            device="server",
            settings=model.options,
        )
        key = settings.llm.api_key.get_secret_value() if settings.llm.api_key else "none"
        client = make_client(server, key)
        return cls(
            client,
            info,
            extra_body=model.options.get("extra_body"),
            sums_up=model == settings.models.summarize,
        )

    def warm_up(self) -> None:
        """Have the server read the part that all summaries' prompts share: its cache keeps it. Who only
        analyses has time: there it is enough that the server answers.
        """
        asked: list[list[Message]] = [[{"role": "user", "content": "안녕하세요"}]]
        if self._sums_up:
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
        started = monotonic()
        try:
            completion: ChatCompletion = self._client.with_options(
                timeout=timeout_s
            ).chat.completions.create(
                model=self.info.name,
                messages=cast("Any", list(messages)),
                max_tokens=max_tokens,
                temperature=temperature,
                extra_body=self._extra_body,
                **({"response_format": _held_to(schema)} if schema else {}),
            )
        except APIError as error:
            # Not its text: servers quote the prompt in their complaints.
            raise ModelUnavailableError(self._what_is_wrong(error, timeout_s)) from None
        answer = replace(self._answer(completion), seconds=round(monotonic() - started, 3))
        if accept:
            accept(answer)
        return answer

    def named(self, model: str) -> Self:
        """The same server's model of this name; its revision is what the server has of it.

        Raises ModelUnavailableError if the server has none: some answer with another one.
        """
        if model == self.info.name:
            return self
        try:
            served = {
                one.id for one in self._client.with_options(timeout=LIST_TIMEOUT_S).models.list()
            }
        except APIError:
            served = {model}  # it does not say; then it has to refuse by itself
        if model not in served:
            raise ModelUnavailableError(f"{self._server} does not serve this model.")
        info = replace(self.info, name=model, revision="unpinned")
        return type(self)(self._client, info, extra_body=self._extra_body)

    def close(self) -> None:
        self._client.close()

    def _answer(self, completion: ChatCompletion) -> ChatAnswer:
        if not completion.choices:
            raise ModelUnavailableError(f"{self._server} gave no answer.")
        choice, usage = completion.choices[0], completion.usage
        if choice.finish_reason == "content_filter" or choice.message.refusal:
            raise AnswerUnusableError(f"{self._server} refuses to answer.")
        return ChatAnswer(
            text=_THOUGHT.sub("", choice.message.content or "").strip(),
            finish_reason=choice.finish_reason,
            model=completion.model,
            prompt_tokens=usage.prompt_tokens if usage else 0,
            output_tokens=usage.completion_tokens if usage else 0,
            cached_tokens=_cached(usage),
        )

    @property
    def _server(self) -> str:
        url = urlsplit(str(self._client.base_url))
        return f"The chat server at {url.hostname}:{url.port or url.scheme}"

    def _what_is_wrong(self, error: APIError, timeout_s: float) -> str:
        if isinstance(error, APITimeoutError):
            return f"{self._server} did not answer within {timeout_s:g} s."
        if isinstance(error, APIConnectionError):
            return f"{self._server} cannot be reached: is it running? (CALLYTICS_LLM__BASE_URL)"
        if isinstance(error, APIStatusError):
            hint = _HINTS.get(error.status_code, "")
            return f"{self._server} answers HTTP {error.status_code}{hint}."
        return f"{self._server} answers something that is no chat completion."


def _cached(usage: CompletionUsage | None) -> int:
    details = usage.prompt_tokens_details if usage else None
    return (details.cached_tokens if details else None) or 0


def _held_to(schema: Mapping[str, Any]) -> Any:
    """Structured output as the OpenAI protocol asks for it; vLLM and llama.cpp both enforce it."""
    return {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": dict(schema), "strict": True},
    }


_HINTS: Mapping[int, str] = {
    400: ": it refuses the request; the prompt may be longer than its context",
    401: ": it wants another key (CALLYTICS_LLM__API_KEY)",
    403: ": it wants another key (CALLYTICS_LLM__API_KEY)",
    404: ": it does not serve this model (CALLYTICS_MODELS__SUMMARIZE__MODEL)",
    429: ": it is busy",
    503: ": it is loading or busy",
}


def make_client(base_url: str, api_key: str) -> OpenAI:
    """No retries: a stage's attempts are counted in its row. No proxy to this very machine."""
    beyond = urlsplit(base_url).hostname not in _LOOPBACK
    return OpenAI(
        base_url=base_url,
        api_key=api_key,
        max_retries=0,
        http_client=DefaultHttpxClient(trust_env=beyond),
    )


def _revision(model: ModelSettings, settings: Settings) -> str:
    """Of the file that our own engine serves; what another server has, only the settings can say."""
    if model.revision is None and model.model in CATALOG:
        with suppress(ModelUnavailableError):
            return revision_of(resolve(model.model, settings), None)
    return model.revision or "unpinned"
