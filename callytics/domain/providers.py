"""Who answers a chat model's task: tasks by name, what a request came to, and what follows from that."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

TASKS: Mapping[str, str] = {
    "slm": "summarize",
    "mlm": "analyse",
    "diagnosis_text": "diagnosis_text",
    "diagnosis_image": "diagnosis_image",
}
"""What each chat model is for -> the model's name in the settings."""

_OF_MODEL = {model: task for task, model in TASKS.items()}

EMBEDDED, VLLM, OPENAI, RUNPOD = "embedded", "vllm", "openai", "runpod"
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

OWN = frozenset({EMBEDDED, VLLM})
"""Our own engines: what the model's options say is meant for them, and a worker waits for them."""

HOSTED: Mapping[str, str | None] = {OPENAI: "https://api.openai.com/v1", RUNPOD: None}
"""Those that want a key -> where they are; None: each customer has an address there."""


class Outcome(StrEnum):
    """What one request to a provider came to."""

    OK = "ok"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not_found"
    """It has no such model."""
    REJECTED = "rejected"
    """It does not take this request: a prompt that is too long, say."""
    MALFORMED = "malformed"
    """What came is no chat completion."""
    REFUSED = "refused"
    """The model, or a filter before it, will not answer."""
    TRUNCATED = "truncated"
    """The answer ends in the middle and cannot be worked with."""
    UNUSABLE = "unusable"
    """The answer is whole and cannot be worked with."""


PASSING = frozenset(
    {Outcome.TIMEOUT, Outcome.UNREACHABLE, Outcome.RATE_LIMITED, Outcome.SERVER_ERROR}
)
"""What another request to the same provider may mend."""

ANSWERED = frozenset(
    {Outcome.OK, Outcome.REJECTED, Outcome.REFUSED, Outcome.TRUNCATED, Outcome.UNUSABLE}
)
"""The provider is well: what is wrong is this request, or what the model made of it."""

POOR = frozenset({Outcome.REFUSED, Outcome.TRUNCATED, Outcome.UNUSABLE})
"""There was an answer, which is none to work with."""

_OF_STATUS: Mapping[int, Outcome] = {
    401: Outcome.UNAUTHORIZED,
    403: Outcome.UNAUTHORIZED,
    404: Outcome.NOT_FOUND,
    408: Outcome.TIMEOUT,
    429: Outcome.RATE_LIMITED,
}
_FIRST_OF_SERVER = 500


def outcome_of(status: int) -> Outcome:
    """What an HTTP status that is no success means."""
    otherwise = Outcome.SERVER_ERROR if status >= _FIRST_OF_SERVER else Outcome.REJECTED
    return _OF_STATUS.get(status, otherwise)


def task_of(model: str) -> str:
    """The task of a chat model, by its name in the settings; of any other, that name."""
    return _OF_MODEL.get(model, model)


def own_name(server: str | None) -> str:
    """What the engine of a model is called: `embedded` on this machine, where the local stack starts it."""
    return EMBEDDED if server and urlsplit(server).hostname in LOOPBACK else VLLM


def retry_wait_s(
    attempt: int, *, base_s: float, retry_after_s: float | None, left_s: float
) -> float | None:
    """Seconds between request number `attempt` (from 1) and the next; None: it would come too late.

    The provider's own word counts; else each wait is twice the one before.
    """
    wait_s = base_s * 2.0 ** (attempt - 1) if retry_after_s is None else retry_after_s
    return wait_s if wait_s < left_s else None


class BreakerState(StrEnum):
    """Whether a worker leaves a provider alone."""

    CLOSED = "closed"
    OPEN = "open"


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """Requests to a provider that came to the same, one or more of them added up. `cost_usd` is 0 where no
    price is set.
    """

    task: str
    provider: str
    model: str
    outcome: Outcome
    requests: int = 1
    prompt_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    seconds: float
