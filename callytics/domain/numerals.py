"""Numbers in figures and in Korean words: whether a conversation names what a summary names."""

import re
from collections.abc import Iterator

_SINO = "영일이삼사오육칠팔구"
_SINO_LETTERS = "영공일이삼사오육륙칠팔구십백천만억"
_ONES = ("", "하나|한", "둘|두", "셋|세|석|서", "넷|네|넉", "다섯", "여섯", "일곱", "여덟", "아홉")
_TENS = ("", "열", "스물|스무", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔")
_DAYS = {1: "하루", 2: "이틀", 3: "사흘", 4: "나흘", 5: "닷새", 10: "열흘", 15: "보름"}
_UNIT = (
    "시|분|초|일|주|월|개|달|년|원|달러|퍼센트|프로|명|번|회|건|장|대|살|가지|곳|병|권|차|층|호|동|기가"
    "|배|등|점|인|박|매|편|세트|상자|조|째|차례|단계|영업일"
)

_LONGEST_SPOKEN = 16
"""Digits; Korean has no everyday word for a number that is longer."""

_FIGURE = re.compile(r"(\d[\d,]*(?:\.\d+)?)\s?([천만억]?)")
_GROUPING = re.compile(r"(?<=\d),(?=\d)")
_END = rf"(?=\s?(?:{_UNIT})|[^가-힣]|$)"
_WORDS = re.compile(
    rf"(?<![가-힣])(?:[{_SINO_LETTERS}]*[십백천만억][{_SINO_LETTERS}]+{_END}"
    rf"|[{_SINO_LETTERS}]{{2,}}(?=\s?(?:{_UNIT}))|[{_SINO_LETTERS}](?=\s(?:{_UNIT}))"
    # 구매, 일시, 세대 are no numbers: one syllable counts where it stands apart, 두 and 세 also before 시.
    rf"|(?:{'|'.join(_TENS[1:])})?(?:{'|'.join(_ONES[1:])})(?=시|\s(?:{_UNIT}))"
    rf"|(?:{'|'.join(_TENS[1:])})(?=\s?(?:{_UNIT})))"
)


def unsaid_numbers(text: str, conversation: str) -> tuple[str, ...]:
    """The numbers of `text` that `conversation` names neither in figures nor in words.

    Words count only as they stand; figures may have been spoken: 18만 as 십팔만, 2시 as 두 시.
    """
    said = _GROUPING.sub("", conversation)
    joined = re.sub(r"\s", "", said)
    figures = [
        found for found in _FIGURE.finditer(text) if not _said(found[1], found[2], said, joined)
    ]
    words = [found for found in _WORDS.finditer(text) if _with_unit(found) not in joined]
    days = [word for word in _DAYS.values() if word in text and word not in joined]
    return (*(found[0].strip() for found in (*figures, *words)), *days)


def _with_unit(found: re.Match[str]) -> str:
    """The number and the first syllable of what it counts: 두 시 and 두 번 are not the same."""
    unit = found.string[found.end() :].lstrip()[:1]
    return re.sub(r"\s", "", found[0]) + (unit if unit.isalpha() else "")


def _said(digits: str, scale: str, said: str, joined: str) -> bool:
    """Whether `said` has the figure as it stands, or `joined` (without spaces) any way to speak it."""
    figure = digits.replace(",", "")
    if re.search(rf"(?<!\d){re.escape(figure)}(?!\d)", said):
        return True
    spoken = "." not in figure and len(figure) <= _LONGEST_SPOKEN
    return spoken and any(re.search(form, joined) for form in _forms(int(figure), scale))


def _forms(number: int, scale: str) -> Iterator[str]:
    """Patterns of what a figure may have been spoken or written as."""
    yield from (rf"(?:{word})(?:{_UNIT})" for word in (*_native(number), sino(number)))
    if number in _DAYS:
        yield _DAYS[number]
    value = number * {"": 1, "천": 10**3, "만": 10**4, "억": 10**8}[scale]
    if value >= 10:  # noqa: PLR2004 (a single syllable is found in any text)
        yield sino(value)
    if scale:
        yield rf"(?<!\d){value}(?!\d)"
    elif value and value % 10**4 == 0:
        yield rf"(?<!\d){value // 10**4}만"


def sino(number: int) -> str:
    """`number` as Sino-Korean is spoken: 150000 is 십오만, 1947 is 천구백사십칠."""
    if number < len(_SINO):
        return _SINO[number]
    spoken = ""
    for power, name in ((10**8, "억"), (10**4, "만"), (10**3, "천"), (10**2, "백"), (10, "십")):
        count, number = divmod(number, power)
        if count:
            spoken += ("" if count == 1 and name != "억" else sino(count)) + name
    return spoken + (_SINO[number] if number else "")


def _native(number: int) -> tuple[str, ...]:
    """How Korean counts things, as a pattern: 12 is 열둘 or 열두."""
    if not 0 < number < 100:  # noqa: PLR2004 (beyond, Korean counts in Sino-Korean)
        return ()
    tens, ones = divmod(number, 10)
    return (f"(?:{_TENS[tens]})(?:{_ONES[ones]})",)
