"""Texts as a model is to read them: without markup and without what nobody sees."""

import html
import re
import unicodedata

# Each stops at the next `<`, or takes all that is left: the time is linear in the text's length, whatever
# is broken about it. (`html.parser` takes quadratic time for tags that do not end.)
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_UNSHOWN = re.compile(
    r"<(script|style|template|title)\b[^<>]*>.*?(?:</\1\s*>|\Z)", re.DOTALL | re.IGNORECASE
)
"""Elements whose content a browser does not show in the page."""
_TAG = re.compile(r"""<(?:/?[a-zA-Z]|[!?])(?:[^<>"']|"[^"<]*"|'[^'<]*')*+>""")

_DROPPED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
"""Unicode categories of control and format characters, halves of pairs, private and unassigned ones."""

_SPACES = frozenset({"Zs", "Zl", "Zp"})


def clean(text: str) -> str:
    """`text` without HTML, control and format characters; composed (NFC), one space between words.

    What only looks like markup (`<3`, `5 < 7`) stays. The result may be empty. A family of emoji comes out as
    its members, since the character that joins them is none that is seen.
    """
    return visible(_without_markup(text))


def visible(text: str) -> str:
    """`text` composed (NFC), without control and format characters, with one space between words."""
    # Composed at last: what stood between two parts of a letter may have been dropped.
    return unicodedata.normalize("NFC", " ".join("".join(map(_seen, text)).split()))


def _seen(character: str) -> str:
    category = unicodedata.category(character)
    if category in _SPACES or character.isspace():
        return " "
    return "" if category in _DROPPED else character


def _without_markup(text: str) -> str:
    """What a browser would show; an element is as good as a space."""
    if "<" in text:
        for markup in (_COMMENT, _UNSHOWN, _TAG):
            text = markup.sub(" ", text)
    return html.unescape(text)
