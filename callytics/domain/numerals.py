"""Numbers in figures and in Korean words: whether a conversation names what a summary names."""

import re

_SINO = "영일이삼사오육칠팔구"
_SINO_LETTERS = "영공일이삼사오육륙칠팔구십백천만억"
_ONES = ("", "하나|한", "둘|두", "셋|세|석|서", "넷|네|넉", "다섯", "여섯", "일곱", "여덟", "아홉")
_TENS = ("", "열", "스물|스무", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔")
_DAYS = {1: "하루", 2: "이틀", 3: "사흘", 4: "나흘", 5: "닷새", 10: "열흘", 15: "보름"}
_UNIT = (
    "시|분|초|일|주|월|개|달|년|원|달러|퍼센트|프로|명|번|회|건|장|대|살|가지|곳|병|권|차|층|호|동|기가"
    "|배|등|점|인|박|매|편|세트|상자|조|째|차례|단계|영업일"
)

_FIGURE = re.compile(r"(\d[\d,]*(?:\.\d+)?)\s?([천만억]?)")
_GROUPED = re.compile(r"(?<=\d)[,\s](?=\d)")
# A word of number letters (전자, 이천, 삼사 are not distinguished from names: they must occur as well).
_WORDS = re.compile(
    rf"(?<![가-힣])(?:[{_SINO_LETTERS}]{{2,}}|[{_SINO_LETTERS}](?=\s?(?:{_UNIT}))"
    rf"|(?:(?:{'|'.join(_TENS[1:])})?(?:{'|'.join(_ONES[1:])}|(?<=[열무물른흔쉰순든]))(?=\s?(?:{_UNIT}))))"
)


def unsaid_numbers(text: str, conversation: str) -> tuple[str, ...]:
    """The numbers of `text` that `conversation` names neither in figures nor in words.

    Words count only as they stand; figures may have been spoken: 18만 as 십팔만, 2시 as 두 시.
    """
    said = re.sub(r"\s", "", _GROUPED.sub("", conversation))
    figures = [found for found in _FIGURE.finditer(text) if not _said(found[1], found[2], said)]
    words = [found for found in _WORDS.finditer(text) if re.sub(r"\s", "", found[0]) not in said]
    return tuple(found[0].strip() for found in (*figures, *words))


def _said(digits: str, scale: str, said: str) -> bool:
    """Whether `said` (without spaces) has the figure as it stands or any way to speak it."""
    figure = digits.replace(",", "")
    if re.search(rf"(?<!\d){re.escape(figure)}(?!\d)", said):
        return True
    if "." in figure:
        return False
    number = int(figure)
    spoken = [rf"(?:{word})(?={_UNIT})" for word in (*_native(number), sino(number))]
    spoken += [sino(number) + scale] if scale or number > len(_SINO) else []
    spoken += [_DAYS[number]] if number in _DAYS else []
    scaled = number * {"": 1, "천": 10**3, "만": 10**4, "억": 10**8}[scale]
    spoken += [rf"(?<!\d){scaled}(?!\d)"] if scale else [sino(scaled)] if scaled >= 10**3 else []
    return any(re.search(form, said) for form in spoken)


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
