"""What a model might answer to a skin complaint, and what it was shown."""

import base64
import json
from typing import Any

from callytics.domain.image import PlainImage
from tests.support.chat_server import ChatServer
from tests.support.photos import halves, saved

FORM: dict[str, Any] = {
    "findings": ["팔 안쪽의 붉은 발진", "가려움"],
    "conditions": [
        {"name": "접촉성 피부염", "reason": "가려운 붉은 발진", "likelihood": "high"},
        {"name": "아토피 피부염", "reason": "팔 안쪽, 가려움", "likelihood": "medium"},
    ],
    "urgency": "routine",
    "urgency_reason": "열과 진물이 없음",
    "next_steps": ["새로 쓴 세제 중단"],
    "warning_signs": ["고열", "번지는 물집"],
}
IMAGE_FORM = {"image_usable": True, "image_reason": "밝고 초점이 맞음", **FORM}

PHOTO = PlainImage(
    jpeg=saved(halves()),
    width=96,
    height=64,
    source_format="PNG",
    source_bytes=1000,
    source_width=960,
    source_height=640,
)

COMPLAINT = "3일 전부터 팔 안쪽이 붉고 가려워요."


def written(form: dict[str, Any], **changes: Any) -> str:
    return json.dumps({**form, **changes}, ensure_ascii=False)


def refuse(server: ChatServer) -> None:
    """As OpenAI does it: no content, but a refusal."""
    server.says("")
    server.body["choices"][0]["message"] = {
        "role": "assistant",
        "content": None,
        "refusal": "I cannot help with that.",
    }


def image_of(message: Any) -> bytes:
    """The image that a message to a model carries."""
    [part] = [part for part in message["content"] if part["type"] == "image_url"]
    head, _, encoded = part["image_url"]["url"].partition(",")
    assert head == "data:image/jpeg;base64"
    return base64.b64decode(encoded)
