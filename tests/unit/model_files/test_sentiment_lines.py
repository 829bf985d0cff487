"""The labelled lines keep their promises (callytics/model_files/sentiment/README.md)."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from callytics.domain.transcript import Role, SentimentLabel
from callytics.model_files.sentiment.lines import accuracy, macro_f1, read_lines

TRAIN, TEST = read_lines("train"), read_lines("test")
SAMPLES = Path(__file__).parents[3] / "samples"


def bare(text: str) -> str:
    return re.sub(r"\W", "", text).lower()


def test_there_are_enough_lines_of_every_label_and_of_both_speakers() -> None:
    for lines, enough in ((TRAIN, 200), (TEST, 45)):
        assert min(Counter(line.label for line in lines).values()) >= enough
        assert {line.label for line in lines} == set(SentimentLabel)
        assert {line.role for line in lines} == {Role.AGENT, Role.CUSTOMER}


def test_no_line_is_there_twice_and_none_is_in_both_files() -> None:
    texts = Counter(bare(line.text) for line in (*TRAIN, *TEST))
    assert [text for text, count in texts.items() if count > 1] == []


def test_test_lines_are_of_other_topics() -> None:
    shared = {line.topic for line in TRAIN} & {line.topic for line in TEST}
    assert shared == {"general", "english"}


def test_a_tenth_of_the_lines_is_english() -> None:
    for lines in (TRAIN, TEST):
        assert 0.08 < sum(line.topic == "english" for line in lines) / len(lines) < 0.15


def test_the_call_that_is_shown_was_not_learned() -> None:
    turns = json.loads((SAMPLES / "dialogue_ref.json").read_text("utf-8"))
    shown = {bare(one) for turn in turns for one in re.split(r"(?<=[.?!])", turn["text"])}
    learned = {bare(line.text) for line in TRAIN}
    assert {text for text in shown & learned if len(text) > len("네안녕하세요")} == set()


def test_macro_f1_counts_rare_labels_as_much_as_frequent_ones() -> None:
    expected, found = ["a", "a", "a", "b"], ["a", "a", "a", "a"]
    assert accuracy(expected, found) == 0.75
    assert macro_f1(expected, found) == pytest.approx((6 / 7 + 0) / 2)
