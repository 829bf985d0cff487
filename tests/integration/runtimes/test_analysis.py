"""Analyses by the offline preset's own model, on a real engine that holds it to the schema."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import SecretStr

from callytics.embedded.parts import llm_engine
from callytics.embedded.process import free_port, running
from callytics.model_files import resolve
from callytics.services.analysis import (
    SCHEMA,
    Analysed,
    AnalysisForm,
    AnalysisOptions,
    analyse,
)
from callytics.settings import LlmSettings, Settings
from workers.runtimes import load
from workers.runtimes.providers import ProviderChain

PRESET = Settings(preset="offline").models.analyse
CALL = """상담사: 안녕하세요, 두레도시락 상담원 김아름입니다. 무엇을 도와드릴까요?
고객: 내일 점심 도시락 스무 개 주문을 취소하고 싶어서요. 수수료가 있나요?
상담사: 오늘까지는 수수료 없이 취소하실 수 있습니다.
고객: 그럼 취소해 주세요.
상담사: 네, 주문 취소해 드렸습니다. 취소 확인 문자를 보내 드리겠습니다."""

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProviderChain]:
    port = free_port()
    [gguf] = Path(resolve(PRESET.model, Settings())).glob("*.gguf")
    settings = Settings(
        preset="offline",
        llm=LlmSettings(base_url=f"http://127.0.0.1:{port}/v1", api_key=SecretStr("none")),
    )
    log = tmp_path_factory.mktemp("engine") / "log"
    with running(llm_engine(gguf, alias=PRESET.model, port=port), log, timeout_s=120):
        chat = load("analyse", settings)
        assert isinstance(chat, ProviderChain)
        with closing(chat):
            yield chat


@pytest.fixture(scope="module")
def found(chat: ProviderChain) -> Analysed:
    return analyse(chat, CALL, AnalysisOptions.of(PRESET.options))


def test_a_real_model_says_what_was_asked_done_and_settled(found: Analysed) -> None:
    form = found.analysis.form
    assert "취소" in form.summary.customer
    assert "취소" in form.summary.agent + form.summary.result
    assert "도시락" in " ".join((*form.keywords, form.titles.descriptive))
    assert found.analysis.quality_score > 0.8
    assert found.output_tokens > 50


def test_every_field_is_valid_and_every_part_rests_on_the_conversation(found: Analysed) -> None:
    stored = found.to_json()
    AnalysisForm.model_validate({name: stored[name] for name in AnalysisForm.model_fields})
    for part in ("customer", "agent", "result"):
        assert all(CALL[place["start"] : place["end"]] for place in stored["evidence"][part])
        assert stored["evidence"][part]


def test_the_engine_holds_its_answers_to_the_schema(chat: ProviderChain) -> None:
    weather = [{"role": "user", "content": "오늘 날씨를 한 문장으로 말해 줘."}]
    answer = chat.complete(weather, max_tokens=300, temperature=0.0, timeout_s=200, schema=SCHEMA)
    assert set(json.loads(answer.text)) == {"summary", "keywords", "titles"}
    AnalysisForm.model_validate_json(answer.text)
