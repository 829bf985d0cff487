"""How a command ends: exit codes, and one clear sentence for whatever went wrong."""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

from callytics.errors import (
    ApiKeyNotFoundError,
    BatchNotFoundError,
    CallNotFoundError,
    CallyticsError,
    ClientNotFoundError,
    DeliveryNotFoundError,
    EndpointNotFoundError,
    InvalidBoundKeyError,
    NoEarlierRouteError,
    NotConnectedError,
    NothingToRerunError,
    UnknownProviderError,
    UnknownTaskError,
)


class ExitCode(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    CALL_FAILED = 3
    NOT_FOUND = 4
    REFUSED = 5
    UNREACHABLE = 6
    NOTHING_TO_DO = 7
    FAILED_AGAIN = 8
    INTERRUPTED = 130


EPILOG = (
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the call itself failed or was cancelled, "
    "4 not found, 5 refused (bound key, rights), 6 no server answers, 7 nothing to do, "
    "8 what was run again failed again, 130 interrupted."
)

_BY_STATUS = {401: ExitCode.REFUSED, 403: ExitCode.REFUSED, 404: ExitCode.NOT_FOUND}
_BY_ERROR = {
    ApiKeyNotFoundError: ExitCode.NOT_FOUND,
    BatchNotFoundError: ExitCode.NOT_FOUND,
    CallNotFoundError: ExitCode.NOT_FOUND,
    ClientNotFoundError: ExitCode.NOT_FOUND,
    DeliveryNotFoundError: ExitCode.NOT_FOUND,
    EndpointNotFoundError: ExitCode.NOT_FOUND,
    InvalidBoundKeyError: ExitCode.REFUSED,
    NoEarlierRouteError: ExitCode.NOTHING_TO_DO,
    NotConnectedError: ExitCode.UNREACHABLE,
    NothingToRerunError: ExitCode.NOTHING_TO_DO,
    UnknownProviderError: ExitCode.NOT_FOUND,
    UnknownTaskError: ExitCode.NOT_FOUND,
}


class CommandError(Exception):
    """What a command tells its user before it ends."""

    def __init__(self, message: str, exit_code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ProblemError(CommandError):
    """The API answered with a problem document (RFC 9457), or with no document at all."""

    def __init__(self, status: int, document: Any) -> None:
        known = document if isinstance(document, dict) else {}
        self.status = status
        self.code = known.get("code")
        self.places: Sequence[int] = known.get("texts") or ()
        """Of the texts that are at fault, among those that were sent, from 0."""
        super().__init__(_sentence(status, known), _BY_STATUS.get(status, ExitCode.FAILED))


def _sentence(status: int, problem: dict[str, Any]) -> str:
    title, detail, code = (problem.get(key) or "" for key in ("title", "detail", "code"))
    # The detail often repeats the title; then it is enough.
    said = detail if detail.startswith(title) else f"{title}: {detail}" if detail else title
    faults = "; ".join(
        f"{each['field']}: {each['message']}" for each in problem.get("errors") or ()
    )
    shown = (said or f"The server answered with status {status}.", faults, code and f"({code})")
    return " ".join(part for part in shown if part)


def explain(error: Exception) -> tuple[str, ExitCode]:
    """The sentence to show for `error`, and the code to end with."""
    if isinstance(error, CommandError):
        return str(error), error.exit_code
    if isinstance(error, CallyticsError):
        return f"{error.detail} ({error.code})", _BY_ERROR.get(type(error), ExitCode.FAILED)
    if isinstance(error, OSError) and error.strerror:
        named = f"{error.filename}: " if error.filename else ""
        return f"{named}{error.strerror}", ExitCode.FAILED
    # The text of an unforeseen error may hold an address with a password: only its type is shown.
    return (
        f"Unforeseen {type(error).__name__}. Run `callytics --debug ...` to see where.",
        ExitCode.FAILED,
    )
