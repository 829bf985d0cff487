from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers

from callytics.domain.transcript import SentimentLabel
from callytics.errors import ConfigurationError
from callytics.ports import ModelInfo
from workers.runtimes.classify import RUN_TOKENS, Inputs, TextClassifier, reading_of

NEGATIVE, NEUTRAL, POSITIVE = SentimentLabel


def classes(*names: str, **options: object) -> tuple[SentimentLabel, ...]:
    return reading_of(dict(enumerate(names)), options).classes


@pytest.mark.parametrize(
    "names",
    [
        ("negative", "neutral", "positive"),
        ("Negative", "NEUTRAL", "Positive"),
        ("neg", "neu", "pos"),
        ("부정", "중립", "긍정"),
    ],
)
def test_classes_are_known_by_their_names(names: tuple[str, ...]) -> None:
    assert classes(*names) == (NEGATIVE, NEUTRAL, POSITIVE)


def test_classes_keep_the_order_of_their_numbers() -> None:
    assert reading_of({"10": "neu", "2": "pos", "0": "neg"}, {}).classes == (
        NEGATIVE,
        POSITIVE,
        NEUTRAL,
    )


def test_names_that_say_nothing_are_refused_until_an_option_says_it() -> None:
    with pytest.raises(ConfigurationError, match=r"LABEL_0, LABEL_1.*`labels`"):
        classes("LABEL_0", "LABEL_1")
    said = {"LABEL_0": "negative", "label_1": "positive"}
    assert classes("LABEL_0", "LABEL_1", labels=said) == (NEGATIVE, POSITIVE)


def test_a_model_that_never_says_negative_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        classes("neutral", "positive")


def test_classes_that_mean_the_same_add_up() -> None:
    said = {"anger": "negative", "fear": "negative", "joy": "positive", "none": "neutral"}
    reading = reading_of(dict(enumerate(said)), {"labels": said})
    found = reading.read(np.array([0.2, 0.25, 0.4, 0.15], np.float32))
    assert found.probabilities == pytest.approx({NEGATIVE: 0.45, NEUTRAL: 0.15, POSITIVE: 0.4})
    assert found.label is NEGATIVE
    assert found.score == pytest.approx(0.45)


@given(st.floats(0, 1))
def test_two_classes_are_neutral_within_the_band_only(positive: float) -> None:
    found = reading_of({0: "부정", 1: "긍정"}, {}).read(np.array([1 - positive, positive]))
    assert found.probabilities == pytest.approx({NEGATIVE: 1 - positive, POSITIVE: positive})
    assert found.score == max(found.probabilities.values())
    expected = NEUTRAL if 0.4 < positive < 0.6 else NEGATIVE if positive < 0.5 else POSITIVE
    assert found.label is expected


def test_three_classes_need_no_band() -> None:
    found = reading_of({0: "neg", 1: "neu", 2: "pos"}, {}).read(np.array([0.36, 0.3, 0.34]))
    assert found.label is NEGATIVE


def test_the_band_is_an_option() -> None:
    reading = reading_of({0: "neg", 1: "pos"}, {"neutral_band": [0.1, 0.9]})
    assert reading.read(np.array([0.2, 0.8])).label is NEUTRAL
    with pytest.raises(ConfigurationError, match="neutral_band"):
        reading_of({0: "neg", 1: "pos"}, {"neutral_band": [0.6, 0.4]})


class CountingNetwork:
    """Says positive for a token 1, negative for a token 0; remembers the shapes that it was given."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, inputs: Inputs) -> NDArray[np.float32]:
        self.shapes.append(inputs["input_ids"].shape)
        seen = inputs["attention_mask"]
        positive = (inputs["input_ids"] * seen).sum(axis=1) / seen.sum(axis=1)
        return np.stack([1 - positive, np.zeros_like(positive), positive], axis=1)


def classify(
    texts: Sequence[str],
    *,
    batch_size: int = 4,
    max_tokens: int = 512,
    lanes: int | None = None,
) -> tuple[list[float], CountingNetwork]:
    """The positive share of each of `texts`, which are of zeros and ones."""
    tokenizer = Tokenizer(models.WordLevel({"0": 0, "1": 1, "?": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    network = CountingNetwork()
    classifier = TextClassifier(
        ModelInfo(name="counting", revision="1", device="cpu"),
        tokenizer,
        network,
        reading_of({0: "neg", 1: "neu", 2: "pos"}, {}),
        batch_size=batch_size,
        max_tokens=max_tokens,
        pad_id=2,
        lanes=lanes,
    )
    return [found.probabilities[POSITIVE] for found in classifier.classify(texts)], network


@given(
    st.lists(st.text(st.sampled_from("01"), min_size=1, max_size=40), max_size=12),
    st.integers(1, 5),
    st.integers(1, 9),
    st.sampled_from([None, 1, 3]),
)
def test_each_text_is_judged_by_itself_whatever_is_batched_or_cut(
    texts: list[str], batch_size: int, max_tokens: int, lanes: int | None
) -> None:
    found, network = classify(texts, batch_size=batch_size, max_tokens=max_tokens, lanes=lanes)
    assert found == pytest.approx([text.count("1") / len(text) for text in texts])
    assert all(rows <= batch_size and tokens <= max_tokens for rows, tokens in network.shapes)


def test_texts_of_like_length_share_a_batch() -> None:
    _, network = classify(["1" * 30, "0", "1" * 31, "01"], batch_size=2)
    assert network.shapes == [(2, 31), (2, 2)]


def test_lanes_have_the_same_to_do() -> None:
    _, network = classify(["0" * 10] * 8, batch_size=8, lanes=2)
    assert network.shapes == [(4, 10), (4, 10)]


def test_a_run_of_a_lane_fits_a_cores_cache() -> None:
    _, network = classify(["0" * 30] * 8 + ["0" * 300], batch_size=32, lanes=1)
    assert len(network.shapes) < 9
    assert all(rows * tokens <= RUN_TOKENS or rows == 1 for rows, tokens in network.shapes)
