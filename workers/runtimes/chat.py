"""Chat models behind any server that speaks the OpenAI chat protocol: vLLM, hosted, embedded."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, cast

import openai
from openai.types.chat import ChatCompletionMessageParam

from callytics.errors import ConfigurationError, ModelUnavailableError
from callytics.ports import ChatAnswer, ModelInfo
from callytics.settings import ModelSettings, Settings

WARM_UP_TIMEOUT_S = 120


class OpenAiChat:
    """A ChatModel. Asks once: another try is the stage's business, whose attempts are counted in rows."""

    def __init__(self, client: openai.OpenAI, info: ModelInfo) -> None:
        self._client = client
        self.info = info

    @classmethod
    def load(
        cls,
        model: ModelSettings,
        *,
        where: Path | str,
        device: str,  # noqa: ARG003 (the server's business)
        threads: int | None,  # noqa: ARG003
        settings: Settings,
    ) -> Self:
        """Raises ConfigurationError without a base URL, ModelUnavailableError if the server lacks it."""
        if settings.llm.base_url is None:
            raise ConfigurationError(
                "No chat model server is configured: run `callytics up`, or set CALLYTICS_LLM__BASE_URL."
            )
        key = settings.llm.api_key.get_secret_value() if settings.llm.api_key else "none"
        client = openai.OpenAI(base_url=settings.llm.base_url, api_key=key, max_retries=0)
        info = ModelInfo(
            name=str(where),
            revision=model.revision or "served",
            device="server",
            settings=dict(model.options),
        )
        return cls(client, info)

    def warm_up(self) -> None:
        """A first answer, so that the server has loaded the model and its first request is over."""
        self.complete(
            [{"role": "user", "content": "안녕하세요"}],
            max_tokens=1,
            temperature=0.0,
            timeout_s=WARM_UP_TIMEOUT_S,
        )

    def complete(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        max_tokens: int,
        temperature: float,
        timeout_s: float,
        extra: Mapping[str, Any] | None = None,
    ) -> ChatAnswer:
        """`extra` are fields of the request that only some servers know (grammars, caches)."""
        try:
            answer = self._client.chat.completions.create(
                model=self.info.name,
                messages=cast("list[ChatCompletionMessageParam]", list(messages)),
                max_tokens=max_tokens,
                temperature=temperature,
                timeout=timeout_s,
                extra_body=dict(extra) if extra else None,
            )
        except openai.OpenAIError as error:
            # Its text may quote the prompt, which is the conversation.
            status = getattr(error, "status_code", None)
            said = f"HTTP {status}" if status else type(error).__name__
            raise ModelUnavailableError(
                f"The chat model's server gave no answer ({said})."
            ) from None
        choice, usage = answer.choices[0], answer.usage
        return ChatAnswer(
            text=choice.message.content or "",
            finish_reason=choice.finish_reason,
            prompt_tokens=usage.prompt_tokens if usage else 0,
            output_tokens=usage.completion_tokens if usage else 0,
        )
