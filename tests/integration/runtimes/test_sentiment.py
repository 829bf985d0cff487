"""The sentiment models: the offline one on lines that it has not seen, the others in miniature."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper, save

from callytics.errors import ConfigurationError
from callytics.model_files.sentiment.lines import accuracy, macro_f1, read_lines
from callytics.ports import SentimentModel
from callytics.settings import ModelSettings, Settings
from tests.integration.runtimes.conftest import offline_settings
from tests.support.tiny_models import HANGUL_AND_MARKS, save_electra, save_tokenizer
from workers import runtimes
from workers.runtimes import import_runtime, spec_of

TEXTS = ["네.", "정말 감사합니다.", "아직도 안 되네요. " * 200, "", "화가 나요!"]


def load(runtime: str, where: Path, **model: Any) -> Any:
    return import_runtime(spec_of(runtime)).load(
        ModelSettings(runtime=runtime, model="tiny", **model),
        where=where,
        device="cpu",
        threads=1,
        settings=Settings(),
    )


def one_by_one(model: SentimentModel, texts: Sequence[str]) -> list[Any]:
    return [model.classify([text])[0] for text in texts]


# --- transformers -----------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [("negative", "neutral", "positive"), ("부정", "긍정")])
def test_electra_judges_each_text(tmp_path: Path, labels: tuple[str, ...]) -> None:
    save_electra(tmp_path, labels)
    model = load("transformers", tmp_path, batch_size=2)
    found = model.classify(TEXTS)
    for judgement in found:
        assert len(judgement.probabilities) == len(labels)
        assert sum(judgement.probabilities.values()) == pytest.approx(1)
        assert judgement.score == max(judgement.probabilities.values())
    for together, alone in zip(found, one_by_one(model, TEXTS), strict=True):
        assert together.probabilities == pytest.approx(alone.probabilities, abs=1e-5)


def test_electra_says_what_it_is(tmp_path: Path) -> None:
    save_electra(tmp_path, ("neg", "pos"))
    info = load("transformers", tmp_path, options={"neutral_band": [0.3, 0.7]}).info
    assert info.details == {
        "model_type": "ELECTRA",
        "labels": ["negative", "positive"],
        "max_length": 512,
    }
    assert info.settings == {
        "neutral_band": [0.3, 0.7],
        "precision": "float32",
        "batch_size": 1,
    }


def test_classes_without_a_meaning_are_refused(tmp_path: Path) -> None:
    save_electra(tmp_path, ("LABEL_0", "LABEL_1"))
    with pytest.raises(ConfigurationError, match="LABEL_0, LABEL_1"):
        load("transformers", tmp_path)
    said = {"LABEL_0": "negative", "LABEL_1": "positive"}
    load("transformers", tmp_path, options={"labels": said}).warm_up()


def test_an_encoder_without_a_trained_head_is_refused(tmp_path: Path) -> None:
    save_electra(tmp_path, ("negative", "positive"), head=False)
    with pytest.raises(ConfigurationError, match=r"not trained for this task.*classifier"):
        load("transformers", tmp_path)


def test_a_precision_that_torch_does_not_have_is_refused(tmp_path: Path) -> None:
    save_electra(tmp_path, ("negative", "positive"))
    with pytest.raises(ConfigurationError, match="int3"):
        load("transformers", tmp_path, precision="int3")


# --- ONNX ---------------------------------------------------------------------------------------


def test_an_exported_classifier_that_gives_logits_is_read_too(tmp_path: Path) -> None:
    """As `optimum` exports ELECTRA: three inputs, logits out."""
    tokenizer = save_tokenizer(tmp_path, HANGUL_AND_MARKS)
    (tmp_path / "config.json").write_text(
        '{"id2label": {"0": "부정", "1": "긍정"}, "max_position_embeddings": 16, "pad_token_id": 0}'
    )
    save(_letter_counter(tokenizer.convert_tokens_to_ids("!")), tmp_path / "model.onnx")
    model = load("onnx", tmp_path, batch_size=2)
    found = model.classify(["좋아요!" * 20, "네", "네!"])
    assert [one.label for one in found] == ["positive", "negative", "neutral"]


def _letter_counter(token: int) -> Any:
    """A graph whose logits are 1 and how often `token` occurs."""
    names = ("input_ids", "attention_mask", "token_type_ids")
    inputs = [helper.make_tensor_value_info(one, TensorProto.INT64, ["b", "n"]) for one in names]
    constants = [
        helper.make_tensor("token", TensorProto.INT64, [], [token]),
        helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
    ]
    steps = [
        ("Equal", ["input_ids", "token"], "same", {}),
        ("Cast", ["same"], "each", {"to": TensorProto.FLOAT}),
        ("ReduceSum", ["each", "axis"], "count", {}),
        ("Mul", ["count", "count"], "square", {}),
        ("Pow", ["square", "zero"], "one", {}),
        ("Concat", ["one", "count"], "logits", {"axis": 1}),
    ]
    constants.append(helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]))
    nodes = [helper.make_node(op, ins, [out], **more) for op, ins, out, more in steps]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", 2])
    graph = helper.make_graph(nodes, "counter", inputs, [output], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


# --- the offline preset's model -------------------------------------------------------------------


@pytest.fixture(scope="module")
def offline() -> Any:
    return runtimes.load("sentiment", offline_settings())


@pytest.mark.models
def test_it_is_right_on_nine_of_ten_lines_that_it_has_not_seen(offline: SentimentModel) -> None:
    lines = read_lines("test")
    found = [one.label for one in offline.classify([line.text for line in lines])]
    expected = [line.label.value for line in lines]
    assert accuracy(expected, found) > 0.9
    assert macro_f1(expected, found) > 0.9


@pytest.mark.models
def test_what_a_text_is_does_not_depend_on_its_batch(offline: SentimentModel) -> None:
    for together, alone in zip(offline.classify(TEXTS), one_by_one(offline, TEXTS), strict=True):
        assert together.probabilities == pytest.approx(alone.probabilities, abs=1e-4)


@pytest.mark.models
def test_the_feelings_of_the_call_that_the_project_ships(offline: SentimentModel) -> None:
    said = {
        "정말 화가 납니다.": "negative",
        "불편을 드려서 정말 죄송합니다.": "neutral",
        "확인해 드리겠습니다.": "neutral",
        "친절하게 도와주셔서 기분이 좋아졌어요.": "positive",
    }
    assert [one.label for one in offline.classify([*said])] == [*said.values()]


@pytest.mark.models
def test_no_texts_are_no_work(offline: SentimentModel) -> None:
    assert offline.classify([]) == []


def test_torch_is_not_loaded_for_it() -> None:
    code = "import sys, workers.runtimes.onnx; print({'torch', 'transformers'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
