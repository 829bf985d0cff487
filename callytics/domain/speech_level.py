"""How a Korean sentence addresses its listener, by its ending.

Of the six levels that Sohn tells apart ("The Korean Language", 1999), the deferential (하십시오체) and the
polite one (해요체) are used to customers.
"""

import re
from enum import StrEnum


class Level(StrEnum):
    POLITE = "polite"
    PLAIN = "plain"
    NONE = "none"
    """No verb's ending tells: back-channels, names, unfinished sentences, other languages."""


def level_of(sentence: str) -> tuple[Level, int, int]:
    """The sentence's level, and where the ending that tells it starts and ends (characters).

    The last part between commas counts, or the one before it where that has no ending: 죄송합니다, 고객님.
    """
    end = len(sentence)
    for part in reversed(sentence.split(",")):
        start = end - len(part)
        said_end = start + len(_NAMED.sub("", part.rstrip(_MARKS)))
        for level, endings in _ENDINGS.items():
            if found := endings.search(sentence, max(start, said_end - _LONGEST), said_end):
                return level, found.start(), found.end()
        end = start - 1
    return Level.NONE, 0, 0


def _with_final(final: str) -> str:
    """The syllables that end in `final`, as what a character class holds."""
    at = ord(final) - _FIRST_FINAL + 1
    return "".join(chr(code) for code in range(ord("가") + at, ord("힣") + 1, _FINALS))


_FINALS = 28
_FIRST_FINAL = 0x11A8
"""Unicode 3.12: a syllable's code counts its final, of 28, fastest."""

_P, _SS, _L = map(_with_final, "ᆸᆻᆯ")
_CLOSED = "".join(
    chr(code) for code in range(ord("가"), ord("힣") + 1) if (code - ord("가")) % _FINALS
)

_MARKS = " .?!…~\"'”’"
_NAMED = re.compile(r"\s(?:고객님|회원님|선생님|사장님|어머님|아버님)$")
_LONGEST = 4
"""Characters of an ending."""

_ENDINGS = {
    Level.POLITE: re.compile(
        rf"(?:[{_P}]니[다까]"  # 합니다, 합니까
        r"|시[오요]|쇼"  # 하십시오
        r"|(?<![필중수개주])요"  # 해요, 네요, 고요; 필요, 중요, 수요, 개요, 주요 are nouns
        r"|[가-힣]죠)$"
    ),
    Level.PLAIN: re.compile(
        rf"(?:[{_CLOSED}]다|[다라]니까"  # 했다, 된다니까
        rf"|[{_SS}없같많맞싫]어|[같많맞좋알]아|몰라|봐|줘|돼"  # 했어, 좋아
        r"|(?<![올이피오방손동남서새난한])해"  # 확인해; 올해, 이해, 피해, 오해 and others are nouns
        r"|(?:거|뭐|이|아니|여기|어디)야|냐|잖아|거든|더라|구나"  # 뭐야, 했냐, 했잖아
        rf"|[{_L}](?:게|까|걸|래)"  # 할게, 할까
        rf"|(?:[렇되하야{_SS}없]|시)지|[{_SS}없하되]니"  # 그렇지, 했니
        rf"|[해마가봐어아]라|보자|(?:(?!동)[{_CLOSED}]|[되하오])네)$"  # 해라, 그렇네
    ),
}
