"""The punctuators: whatever a model writes, every letter that was spoken comes back, and no other."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from callytics.domain.punctuation import same_letters
from callytics.errors import ConfigurationError
from callytics.ports import Punctuator
from callytics.settings import ModelSettings, Settings
from tests.support.tiny_models import save_electra, save_t5, save_token_classifier
from workers.runtimes import import_runtime, spec_of

SPOKEN = "네 안녕하세요 무엇을 도와드릴까요"
WRITTEN = "네, 안녕하세요. 무엇을 도와드릴까요?"
SHORT, SHORT_WRITTEN = "잠시만요", "잠시만요."

Load = Callable[..., Any]


def load(runtime: str, where: Path | str = "", **model: Any) -> Any:
    return import_runtime(spec_of(runtime)).load(
        ModelSettings(runtime=runtime, model="tiny", **model),
        where=where,
        device="cpu",
        threads=1,
        settings=Settings(),
    )


def says_the_same(punctuator: Punctuator, texts: Sequence[str]) -> bool:
    found = punctuator.punctuate(texts)
    return all(same_letters(" ".join(one), text) for one, text in zip(found, texts, strict=True))


TEXTS = st.lists(
    st.text(st.sampled_from("네안녕하세요무엇을도와드릴까잠시만 .,?!013a-'"), max_size=40),
    max_size=4,
)


# --- T5 ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A T5 that learned two answers by heart."""
    folder = tmp_path_factory.mktemp("t5")
    save_t5(folder, {SPOKEN: WRITTEN, SHORT: SHORT_WRITTEN}, steps=150)
    return load("t5", folder, batch_size=2)


@pytest.fixture(scope="module")
def babbling(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A T5 with random weights: nothing that it writes was said."""
    folder = tmp_path_factory.mktemp("t5")
    save_t5(folder, {SPOKEN: WRITTEN})
    return load("t5", folder, batch_size=2)


def test_t5_writes_the_marks_that_it_learned(taught: Punctuator) -> None:
    assert taught.punctuate([SHORT, SPOKEN, SHORT]) == [
        ["잠시만요."],
        ["네, 안녕하세요.", "무엇을 도와드릴까요?"],
        ["잠시만요."],
    ]


def test_t5_is_not_asked_about_a_text_that_has_its_marks(taught: Punctuator) -> None:
    assert taught.punctuate(["처음 듣는 말입니다. 네."]) == [["처음 듣는 말입니다.", "네."]]


def test_t5_that_writes_something_else_leaves_the_words_alone(babbling: Punctuator) -> None:
    assert babbling.punctuate([SPOKEN]) == [["네 안녕하세요 무엇을 도와드릴까요?"]]


@given(TEXTS)
@limits(max_examples=15, deadline=None)
def test_t5_never_changes_a_letter(babbling: Punctuator, texts: list[str]) -> None:
    assert says_the_same(babbling, texts)


def test_t5_says_what_it_is(taught: Punctuator) -> None:
    assert (taught.info.name, taught.info.device) == ("tiny", "cpu")
    assert taught.info.settings == {"precision": "float32", "batch_size": 2}
    assert re.fullmatch("[0-9a-f]{12}", taught.info.revision)


# --- token classification -----------------------------------------------------------------------

LABELS = ("0", ".", ",", "?", "-", ":")


@pytest.mark.parametrize(
    ("favourite", "sentences"),
    [
        ("0", ["네 안녕하세요 무엇을 도와드릴까요?"]),
        (".", ["네.", "안녕하세요.", "무엇을.", "도와드릴까요."]),
        (",", ["네, 안녕하세요, 무엇을, 도와드릴까요?"]),
        ("-", ["네 안녕하세요 무엇을 도와드릴까요?"]),
    ],
)
def test_token_classifier_sets_the_mark_of_each_word(
    tmp_path: Path, favourite: str, sentences: list[str]
) -> None:
    save_token_classifier(tmp_path, LABELS, favourite=favourite)
    assert load("token-classification", tmp_path).punctuate([SPOKEN]) == [sentences]


def test_token_classifier_reads_long_turns_in_pieces(tmp_path: Path) -> None:
    save_token_classifier(tmp_path, LABELS, favourite=",")
    found = load("token-classification", tmp_path, batch_size=2).punctuate([SPOKEN + " 네" * 300])
    assert [one.count(",") for one in found[0]] == [303]


@pytest.fixture(scope="module")
def erratic(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A token classifier with random weights."""
    folder = tmp_path_factory.mktemp("tokens")
    save_token_classifier(folder, LABELS)
    return load("token-classification", folder, batch_size=3)


@given(TEXTS)
@limits(max_examples=25, deadline=None)
def test_token_classifier_never_changes_a_letter(erratic: Punctuator, texts: list[str]) -> None:
    assert says_the_same(erratic, texts)


def test_classes_that_name_no_mark_are_refused(tmp_path: Path) -> None:
    save_token_classifier(tmp_path, ("B-PER", "O"))
    with pytest.raises(ConfigurationError, match="B-PER"):
        load("token-classification", tmp_path)


def test_a_model_that_was_trained_for_another_task_is_refused(tmp_path: Path) -> None:
    save_electra(tmp_path, ("0", "."), head=False)
    with pytest.raises(ConfigurationError, match=r"classifier\.weight"):
        load("token-classification", tmp_path)


# --- Kiwi -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kiwi() -> Any:
    return load("kiwi", "kiwi")


@pytest.mark.models
@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        (WRITTEN, ["네, 안녕하세요.", "무엇을 도와드릴까요?"]),
        ("감사합니다! 좋은 하루 되세요…", ["감사합니다!", "좋은 하루 되세요…"]),
        ("네 알겠습니다 언제 오세요", ["네 알겠습니다.", "언제 오세요?"]),
        ("왜 이렇게 오래 걸려요", ["왜 이렇게 오래 걸려요?"]),
        ("언제 될지 모르겠어요", ["언제 될지 모르겠어요."]),
        ("뭐 괜찮아요", ["뭐 괜찮아요."]),
        ("요금이 얼마예요 얼마 안 나왔죠", ["요금이 얼마예요?", "얼마 안 나왔죠."]),
        ("열이 나요 그리고 기침도 나나요", ["열이 나요.", "그리고 기침도 나나요?"]),
        ("어제 전화했는데요, 안 되네요", ["어제 전화했는데요, 안 되네요."]),
        ("이름은박준호이고요주소는서울입니다", ["이름은 박준호이고요.", "주소는 서울입니다."]),
        ("3.5기가요 번호는 1 2 3 4입니다", ["3.5기가요 번호는 1 2 3 4입니다."]),
        (
            "Hello. This is Dr. Kim. How can I help you",
            ["Hello.", "This is Dr. Kim.", "How can I help you?"],
        ),
        ("", []),
        ("...", []),
    ],
)
def test_kiwi_cuts_spaces_and_marks(kiwi: Punctuator, text: str, sentences: list[str]) -> None:
    assert kiwi.punctuate([text]) == [sentences]


@pytest.mark.models
def test_kiwi_finds_the_sentences_of_a_call_without_marks(
    kiwi: Punctuator, reference: Sequence[dict[str, Any]]
) -> None:
    hits = marks = known = found = 0
    for turn in reference:
        wanted = _ends(re.findall(r"[^.?!]+[.?!]", turn["text"]))
        (sentences,) = kiwi.punctuate([re.sub("[.,?!]", "", turn["text"])])
        got = _ends(sentences)
        hits += len(wanted.keys() & got.keys())
        marks += len(wanted.items() & got.items())
        known, found = known + len(wanted), found + len(got)
    assert hits / found > 0.95
    assert hits / known > 0.9
    assert marks / hits > 0.95


def _ends(sentences: Sequence[str]) -> dict[int, str]:
    """After how many letters a sentence ends, and by which mark."""
    ends, letters = {}, 0
    for sentence in sentences:
        letters += len(re.sub(r"\W", "", sentence))
        ends[letters] = sentence[-1]
    return ends


@pytest.mark.models
@given(
    st.lists(st.text(max_size=30) | st.text(st.sampled_from("네안녕하세요 .?까,13"), max_size=60))
)
@limits(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_kiwi_never_changes_a_letter(kiwi: Punctuator, texts: list[str]) -> None:
    assert says_the_same(kiwi, texts)
