from collections.abc import Iterable, Sequence
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callytics.domain.punctuation import (
    end_mark,
    is_punctuated,
    letters,
    pieces,
    restore,
    same_letters,
    sentences_of,
    split,
    with_end_mark,
)

# What speech is made of, and everything that marks can be confused with.
TEXTS = st.text(st.sampled_from("가나다요까 \n.,?!:;…。\"'”)-%019aBz"), max_size=60)


def changed_by(edits: dict[str, str], text: str) -> str:
    return "".join(edits.get(letter, letter) for letter in text)


@given(TEXTS)
def test_sentences_say_what_the_text_says(text: str) -> None:
    assert same_letters(" ".join(sentences_of(text)), text)


@given(st.lists(TEXTS, max_size=5), st.lists(TEXTS, min_size=40, max_size=40), st.integers(1, 5))
def test_no_proposal_changes_what_was_said(
    texts: list[str], proposals: list[str], max_words: int
) -> None:
    found = restore(
        texts, lambda asked: (proposals * len(asked))[: len(asked)], max_words=max_words
    )
    assert [letters(" ".join(sentences)) for sentences in found] == [letters(one) for one in texts]


@given(
    st.lists(TEXTS, max_size=5), st.dictionaries(st.sampled_from("가나0. ,"), st.text(max_size=2))
)
def test_no_edit_of_single_letters_slips_through(texts: list[str], edits: dict[str, str]) -> None:
    found = restore(texts, lambda asked: [changed_by(edits, one) for one in asked], max_words=50)
    assert [letters(" ".join(sentences)) for sentences in found] == [letters(one) for one in texts]


@given(TEXTS)
def test_every_sentence_ends_with_a_mark_and_holds_a_letter(text: str) -> None:
    for sentence in sentences_of(text):
        assert letters(sentence)
        assert sentence.rstrip("\"'”)")[-1] in ".?!…。"


@given(TEXTS)
def test_marking_twice_changes_nothing_more(text: str) -> None:
    once = sentences_of(text)
    assert sentences_of(" ".join(once)) == once


@given(TEXTS, st.integers(1, 7))
def test_pieces_hold_all_words_and_no_more_than_asked(text: str, max_words: int) -> None:
    found = pieces(text, max_words)
    assert " ".join(found).split() == text.split()
    assert all(len(piece.split()) <= max_words for piece in found)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("네 알겠습니다", "네, 알겠습니다."),
        ("확인해드릴게요", "확인해 드릴게요."),
        ("1 2 3 4", "1, 2, 3, 4."),
        ("한글", normalize("NFD", "한글")),
    ],
)
def test_marks_and_spaces_are_not_spoken(one: str, other: str) -> None:
    assert same_letters(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("네 알겠습니다", "예, 알겠습니다."),
        ("3.5 기가", "35 기가"),
        ("1 2", "12"),
        ("12", "1,2"),
        ("3 5", "3.5"),
        ("we're", "were"),
        ("50% 할인", "50 할인"),
        ("안 됩니다", "됩니다"),
    ],
)
def test_another_word_or_number_is_noticed(one: str, other: str) -> None:
    assert not same_letters(one, other)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("네. 알겠습니다! 언제요? 네…", ["네.", "알겠습니다!", "언제요?", "네…"]),
        ("요금은 3.5만 원입니다. 네", ["요금은 3.5만 원입니다.", "네"]),
        ("This is Dr. Kim. I live at No. 5.", ["This is Dr. Kim.", "I live at No. 5."]),
        ('"네." 하고 끊었어요.', ['"네."', "하고 끊었어요."]),
        ("a@b.com 입니다", ["a@b.com 입니다"]),
        ("... ?  ", []),
    ],
)
def test_sentences_end_at_their_marks(text: str, sentences: list[str]) -> None:
    assert list(split(text)) == sentences


@pytest.mark.parametrize(
    "sentence",
    [
        *("무엇을 도와드릴까요", "맞습니까", "있나요", "되나요", "하실 건가요", "간다는 거냐고요"),
        *("How can I help you", "and when will it arrive", "Is there more", "what is that"),
    ],
)
def test_questions_are_known_by_their_form(sentence: str) -> None:
    assert end_mark(sentence) == "?"


@pytest.mark.parametrize(
    "sentence",
    [
        *("확인했습니다", "바쁘니까", "열이 나요", "집에 가요", "전문가", "네"),
        *("Have a nice day", "What a mess", "when I called nobody answered", "네 what"),
    ],
)
def test_what_may_be_a_statement_is_one(sentence: str) -> None:
    assert end_mark(sentence) == "."


def test_a_mark_that_is_there_stays_and_a_comma_gives_way() -> None:
    assert with_end_mark("정말요!", ".") == "정말요!"
    assert with_end_mark("그래서요,", ".") == "그래서요."


def test_a_text_with_its_marks_does_not_reach_the_model() -> None:
    asked: list[str] = []

    def propose(texts: Sequence[str]) -> Iterable[str]:
        asked.extend(texts)
        return texts

    restore(["네, 알겠습니다.", "네 알겠습니다"], propose, max_words=10)
    assert asked == ["네 알겠습니다"]


def test_a_long_stretch_without_marks_is_not_punctuated() -> None:
    assert not is_punctuated("네 " * 31 + "네.")
    assert is_punctuated("네. " * 31)


def test_a_good_proposal_is_taken_though_its_neighbour_is_not() -> None:
    def propose(texts: Sequence[str]) -> Iterable[str]:
        return ["네, 안녕하세요.", "아무 말이나"]

    assert restore(["네 안녕하세요 됐나요"], propose, max_words=2) == [
        ["네, 안녕하세요.", "됐나요?"]
    ]
