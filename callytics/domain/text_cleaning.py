"""Texts as a model is to read them: without markup and without what nobody sees."""

import unicodedata
from html.parser import HTMLParser

_UNSHOWN = frozenset({"script", "style", "template", "title"})
"""Elements whose content a browser does not show in the page."""

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
    if "<" not in text and "&" not in text:
        return text
    parser = _Shown()
    parser.feed(text)
    parser.close()
    return "".join(parser.parts)


class _Shown(HTMLParser):
    """Collects what a browser would show; an element is as good as a space."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unshown = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 (the parser passes it)
        self._unshown += tag in _UNSHOWN
        self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        self._unshown = max(0, self._unshown - (tag in _UNSHOWN))
        self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._unshown:
            self.parts.append(data)
