"""A ChatModel that says what a test tells it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from callytics.errors import ModelUnavailableError
from callytics.ports import Accept, ChatAnswer, Message, ModelInfo

SUMMARY = "문의: 환불 지연 확인\n처리: 내일 입금 안내"
"""What a small model might answer to CONVERSATION."""

CONVERSATION = (
    "고객: 환불이 아직 안 들어와서 확인 부탁드려요.\n"
    "상담사: 환불 지연을 확인했고 내일 입금됩니다. 안내 문자를 보내 드리겠습니다."
)

ANALYSIS = json.dumps(
    {
        "summary": {
            "customer": "환불 확인 요청",
            "agent": "환불 지연 확인",
            "result": "안내 문자 발송",
        },
        "keywords": ["환불", "입금", "안내 문자"],
        "titles": {"keyword": "환불_지연_확인", "descriptive": "환불 지연 확인 및 내일 입금 안내"},
    },
    ensure_ascii=False,
)
"""What a medium model might."""


def usual(messages: Sequence[Message], schema: Mapping[str, Any] | None) -> str:
    return ANALYSIS if schema else SUMMARY


def fails_for(mark: str) -> Callable[..., str]:
    """An answer to all but the conversation that has this mark."""

    def answer(messages: Sequence[Message], schema: Mapping[str, Any] | None) -> str:
        if mark in messages[-1]["content"]:
            raise ModelUnavailableError
        return usual(messages, schema)

    return answer


@dataclass
class ScriptedChat:
    """Answers with `answer(messages, schema)`, and remembers what it was asked."""

    answer: Callable[[Sequence[Message], Mapping[str, Any] | None], str] = usual
    info: ModelInfo = field(
        default_factory=lambda: ModelInfo(name="scripted", revision="1", device="cpu")
    )
    asked: list[Sequence[Message]] = field(default_factory=list)
    provider: str = "vllm"

    def warm_up(self) -> None:
        """Nothing to warm."""

    def named(self, model: str) -> Self:
        return type(self)(
            self.answer, ModelInfo(name=model, revision="1", device="cpu"), self.asked
        )

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
        self.asked.append(messages)
        answer = ChatAnswer(
            text=self.answer(messages, schema),
            finish_reason="stop",
            provider=self.provider,
            model=self.info.name,
            revision=self.info.revision,
            prompt_tokens=10,
            output_tokens=5,
            cost_usd=0.25,
        )
        if accept:
            accept(answer)
        return answer
