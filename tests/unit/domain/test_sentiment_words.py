import pytest
from hypothesis import given
from hypothesis import strategies as st

from callytics.domain.sentiment_words import find, judge, words_of
from callytics.domain.transcript import Place, Sentence, SentimentLabel, Turn

NEGATIVE, NEUTRAL, POSITIVE = SentimentLabel


def found(text: str) -> list[tuple[str, str, str]]:
    return [(word.label.value, word.word, text[word.start : word.end]) for word in find(text)]


@pytest.mark.parametrize(
    ("text", "word", "said"),
    [
        ("상담원님이 친절하게 알려 주셨어요.", "친절하다", "친절하게"),
        ("정말 고마워요.", "고맙다", "고마워요"),
        ("감사 드립니다.", "감사하다", "감사 드립니다"),
        ("마음에 쏙 들어요.", "마음에 들다", "마음에 쏙 들어요"),
        ("마음에들어요", "마음에 들다", "마음에들어요"),
        ("문제가 하나도 없어요.", "문제없다", "문제가 하나도 없어요"),
        ("Thanks a lot!", "thank", "Thanks"),
    ],
)
def test_positive_words(text: str, word: str, said: str) -> None:
    assert found(text) == [("positive", word, said)]


@pytest.mark.parametrize(
    ("text", "word", "said"),
    [
        ("정말 화가 납니다.", "화가 나다", "화가 납니다"),
        ("화가 너무 났어요.", "화가 나다", "화가 너무 났어요"),
        ("앱이 불편해요.", "불편하다", "불편해요"),
        ("품질이 나빴어요.", "나쁘다", "나빴어요"),
        ("아직도 안 왔어요.", "아직도", "아직도"),
        ("이게 말이 됩니까?", "말이 안 되다", "말이 됩니까"),
        ("That is ridiculous.", "ridiculous", "ridiculous"),
    ],
)
def test_negative_words(text: str, word: str, said: str) -> None:
    assert found(text) == [("negative", word, said)]


@pytest.mark.parametrize(
    ("text", "label", "word", "said"),
    [
        ("별로 좋지 않아요.", "negative", "좋지 않다", "좋지 않아요"),
        ("하나도 안 좋아요.", "negative", "좋지 않다", "안 좋아요"),
        ("안좋아요", "negative", "좋지 않다", "안좋아요"),
        ("만족스럽지는 못하네요.", "negative", "만족하지 않다", "만족스럽지는 못하네요"),
        ("마음에 안 들어요.", "negative", "마음에 들지 않다", "마음에 안 들어요"),
        ("도움이 하나도 안 됐어요.", "negative", "도움이 되지 않다", "도움이 하나도 안 됐어요"),
        ("믿을 수가 없네요.", "negative", "믿지 않다", "믿을 수가 없네요"),
        ("친절은커녕", "negative", "친절하지 않다", "친절은커녕"),
        ("전혀 불편하지 않아요.", "positive", "불편하지 않다", "불편하지 않아요"),
        (
            "불편한 점이 하나도 없었어요.",
            "positive",
            "불편하지 않다",
            "불편한 점이 하나도 없었어요",
        ),
        ("걱정 안 해도 된대요.", "positive", "걱정하지 않다", "걱정 안 해도"),
        ("It's not very helpful.", "negative", "not helpful", "not very helpful"),
    ],
)
def test_negation_turns_a_word_round(text: str, label: str, word: str, said: str) -> None:
    assert found(text) == [(label, word, said)]


@pytest.mark.parametrize(
    "text",
    [
        "화면이 안 나와요.",
        "화요일에 가겠습니다.",
        "감사팀에서 확인합니다.",
        "안심번호로 전화드려요.",
        "만족도 조사입니다.",
        "알려 주시면 좋겠어요.",
        "편하신 시간에 오세요.",
        "행복카드 상담원입니다.",
        "한결에너지입니다.",
        "불편을 드려서 죄송합니다.",
        "불편 사항을 말씀해 주세요.",
        "많이 답답하셨겠어요.",
        "얼마나 당황스러우셨겠어요.",
        "Good morning, goodbye.",
        "",
    ],
)
def test_words_that_only_look_alike_and_courtesy_are_none(text: str) -> None:
    assert found(text) == []


def test_a_negation_further_on_belongs_to_something_else() -> None:
    assert [word.word for word in find("좋은데 안 되네요.")] == ["좋다"]
    assert [word.word for word in find("감사하지만 없습니다.")] == ["감사하다"]


@pytest.mark.parametrize(
    ("text", "label", "share"),
    [
        ("주문 번호를 말씀해 주세요.", NEUTRAL, 1 / 2),
        ("", NEUTRAL, 1 / 2),
        ("걱정했는데 이젠 안심이 돼요.", NEUTRAL, 1 / 2),
        ("감사합니다.", POSITIVE, 2 / 3),
        ("친절하고 꼼꼼해서 좋았어요.", POSITIVE, 4 / 5),
        ("짜증 나고 답답한데 친절하긴 해요.", NEGATIVE, 3 / 5),
    ],
)
def test_the_judge_counts_words(text: str, label: SentimentLabel, share: float) -> None:
    found_label, found_share = judge(text)
    assert found_label is label
    assert found_share == pytest.approx(share)


def test_words_are_counted_over_a_call_with_their_places() -> None:
    lists = words_of(
        [
            turn(0, "앱이 불편해요.", "정말 좋지 않아요."),
            turn(3, "아주 불편한데요. 감사합니다."),
        ]
    )
    assert [(one.word, one.count) for one in lists.negative] == [("불편하다", 2), ("좋지 않다", 1)]
    assert lists.negative[0].occurrences == (
        Place(turn=0, sentence=0, start=3, end=7),
        Place(turn=3, sentence=0, start=3, end=8),
    )
    assert [(one.word, one.count) for one in lists.positive] == [("감사하다", 1)]


def turn(index: int, *sentences: str) -> Turn:
    return Turn(
        index=index,
        start_s=0.0,
        end_s=1.0,
        speaker="a",
        text=" ".join(sentences),
        sentences=tuple(Sentence(text=text) for text in sentences),
    )


PIECES = st.sampled_from(
    [
        "안",
        "못",
        "좋",
        "불편",
        "하지",
        "않아요",
        "없",
        "감사",
        "합니다",
        "화가",
        "나",
        " ",
        ".",
        "도움이",
        "not",
        "good",
    ]
)
TEXTS = st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=15).map("".join))


@given(TEXTS)
def test_places_are_within_the_text_in_order_and_apart(text: str) -> None:
    end = 0
    for word in find(text):
        assert end <= word.start < word.end <= len(text)
        assert not text[word.start].isspace()
        assert not text[word.end - 1].isspace()
        end = word.end


@given(st.lists(TEXTS, max_size=4))
def test_the_lists_hold_every_word_once(texts: list[str]) -> None:
    turns = [turn(index, text) for index, text in enumerate(texts)]
    lists = words_of(turns)
    for words in (lists.positive, lists.negative):
        assert all(one.count == len(one.occurrences) for one in words)
        assert [one.count for one in words] == sorted((one.count for one in words), reverse=True)
    counted = sum(one.count for one in (*lists.positive, *lists.negative))
    assert counted == sum(len(find(text)) for text in texts)


@given(TEXTS)
def test_the_judge_is_never_sure(text: str) -> None:
    label, share = judge(text)
    assert (share == 1 / 2) is (label is NEUTRAL)
    assert 1 / 2 <= share < 1
