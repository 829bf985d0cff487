"""Our ONNX graph of the sentiment model computes what transformers' BERT computes."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from callytics.domain.transcript import SentimentLabel
from callytics.model_files.int8 import in_int8
from callytics.model_files.sentiment.encode import run
from callytics.model_files.sentiment.graph import make_graph
from callytics.model_files.sentiment.head import Head
from tests.support.tiny_models import save_bert

LAYERS = (1, 3)
TEXTS = ["네", "정말 감사합니다.", "아직도 안 되네요. 언제 되나요?"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("bert")
    return folder, save_bert(folder)


@pytest.fixture
def head() -> Head:
    random = np.random.default_rng(0)
    return Head(
        labels=tuple(SentimentLabel),
        layers=LAYERS,
        weights=random.normal(size=(64, 3)).astype(np.float32),
        bias=random.normal(size=3).astype(np.float32),
    )


INPUTS = {
    "input_ids": np.array([[5, 9, 700, 1, 0, 0], [8, 7, 6, 5, 4, 1]]),
    "attention_mask": np.array([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]]),
}


def features(folder: Path, inputs: dict[str, Any], *, int8: bool) -> Any:
    graph = make_graph(folder, None, layers=LAYERS)
    model = in_int8(graph) if int8 else graph
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, inputs)[0]


def test_features_are_means_over_the_tokens_of_the_layers(bert: tuple[Path, Any]) -> None:
    folder, network = bert
    with torch.inference_mode():
        tensors = {name: torch.from_numpy(value) for name, value in INPUTS.items()}
        hidden = network(**tensors, output_hidden_states=True).hidden_states
    seen = tensors["attention_mask"][..., None]
    expected = [(hidden[layer] * seen).sum(1) / seen.sum(1) for layer in LAYERS]
    found = features(folder, INPUTS, int8=False)
    np.testing.assert_allclose(found, torch.cat(expected, dim=1), atol=2e-6)


def test_8_bit_stays_close_although_some_weights_are_large(bert: tuple[Path, Any]) -> None:
    whole, small = (features(bert[0], INPUTS, int8=int8) for int8 in (False, True))
    assert np.linalg.norm(small - whole) < 0.02 * np.linalg.norm(whole)


def test_padding_and_neighbours_change_nothing_in_8_bit(bert: tuple[Path, Any]) -> None:
    alone = {name: value[:1, :4] for name, value in INPUTS.items()}
    together = features(bert[0], INPUTS, int8=True)[:1]
    np.testing.assert_allclose(features(bert[0], alone, int8=True), together, atol=1e-5)


def test_the_head_turns_features_into_shares(bert: tuple[Path, Any], head: Head) -> None:
    folder = bert[0]
    tokenizer = folder / "tokenizer.json"
    found = run(make_graph(folder, head, layers=LAYERS), tokenizer, TEXTS)
    means = run(make_graph(folder, None, layers=LAYERS), tokenizer, TEXTS)
    scores = np.exp(means @ head.weights + head.bias)
    np.testing.assert_allclose(found, scores / scores.sum(axis=1, keepdims=True), atol=1e-5)


def test_a_head_is_the_same_after_it_was_saved(tmp_path: Path, head: Head) -> None:
    head.save(tmp_path / "head.npz")
    read = Head.load(tmp_path / "head.npz")
    assert (read.labels, read.layers) == (head.labels, head.layers)
    np.testing.assert_array_equal(read.weights, head.weights)
    np.testing.assert_array_equal(read.bias, head.bias)
