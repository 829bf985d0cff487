"""What a PromQL expression names."""

import re

_STRINGS = re.compile(r"\"[^\"]*\"|'[^']*'")
_LABELS = re.compile(
    r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)"
)
_NAME = re.compile(r"(?<![\w:.$])[a-zA-Z_:][\w:]*(?!\w*\s*\()")
_WORDS = {"and", "or", "unless", "bool", "offset"}


def metrics_of(expr: str) -> set[str]:
    """The metrics that `expr` asks for, as they are written; Prometheus itself judges the rest."""
    bare = _LABELS.sub(" ", _STRINGS.sub('""', expr))
    return {name for name in _NAME.findall(bare) if name not in _WORDS}
