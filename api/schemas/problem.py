"""RFC 9457 problem documents."""

from callytics.services.schema import Schema


class FieldError(Schema):
    field: str
    """Where the fault is: `body.channels.agent`. What was sent there is not repeated."""

    message: str
    """What is expected there."""


class Problem(Schema):
    type: str
    """`urn:callytics:problem:` and the code."""

    title: str
    """The kind of problem, in a sentence."""

    status: int
    """The HTTP status."""

    detail: str
    """This problem, in a sentence."""

    code: str
    """Stable name of the kind of problem; programs decide by it."""

    instance: str
    """Path of the request."""

    request_id: str
    """Names this request in the server's log."""

    error: str | None = None
    """Only for a bad bound key: the text that the customer's clients look for."""

    errors: list[FieldError] | None = None
    """Only for a request of the wrong form: each fault."""
