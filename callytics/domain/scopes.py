"""What a client may do."""

from enum import StrEnum


class Scope(StrEnum):
    READ = "calls:read"
    """See calls, their progress and their results."""

    WRITE = "calls:write"
    """Submit, cancel, re-run, correct and delete calls."""
