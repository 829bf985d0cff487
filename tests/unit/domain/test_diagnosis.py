import pytest

from callytics.domain.diagnosis import (
    Complaint,
    Kind,
    Language,
    is_written_in,
    notice,
    prompt,
)
from tests.support.diagnoses import image_of

KOREAN = Language.KOREAN


def test_a_description_is_asked_for_in_words() -> None:
    system, *_example, user = prompt(Complaint(text="붉은 발진", language=KOREAN))

    assert (system["role"], user) == ("system", {"role": "user", "content": "붉은 발진"})
    assert "image_usable" not in system["content"]


@pytest.mark.parametrize("text", [None, "붉은 발진"])
def test_a_photo_goes_along_with_what_is_said_of_it(text: str | None) -> None:
    complaint = Complaint(text=text, language=KOREAN, jpeg=b"\xff\xd8photo")
    system, user = prompt(complaint)

    assert complaint.kind is Kind.IMAGE
    assert "image_usable" in system["content"]
    assert image_of(user) == b"\xff\xd8photo"
    assert user["content"][0]["text"] == (text or "사진의 피부를 살펴 주세요.")


@pytest.mark.parametrize("jpeg", [None, b"photo"])
def test_what_comes_before_the_complaint_is_the_same_for_all(jpeg: bytes | None) -> None:
    """Servers keep what they have read of it."""
    firsts = [
        prompt(Complaint(text=text, language=KOREAN, jpeg=jpeg))[:-1] for text in ("하나", "둘")
    ]
    assert firsts[0] == firsts[1]


def test_every_language_has_its_own_words() -> None:
    said = [prompt(Complaint(text="a", language=one))[0]["content"] for one in Language]

    assert len(set(said)) == len(set(map(notice, Language))) == len(Language)
    assert "의학적 진단이나 조언이 아닙니다" in notice(KOREAN)
    assert "no medical diagnosis" in notice(Language.ENGLISH)


@pytest.mark.parametrize(
    ("words", "language", "own"),
    [
        ([], KOREAN, True),
        (["붉은 발진", "BCG 흉터"], KOREAN, True),
        (["37.5", "!"], KOREAN, True),
        (["a red rash", "가려움"], KOREAN, False),
        (["皮肤发红"], KOREAN, False),
        (["a red rash"], Language.ENGLISH, True),
        (["붉은 발진"], Language.ENGLISH, False),
    ],
)
def test_an_answer_in_another_language_is_told(
    words: list[str], language: Language, *, own: bool
) -> None:
    assert is_written_in(language, words) == own
