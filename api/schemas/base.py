"""What all schemas share."""

from typing import Annotated

from pydantic import AfterValidator, ConfigDict

from callytics.services.schema import Schema


class StrictSchema(Schema):
    """A request: a misspelt field is an error, not silence."""

    model_config = ConfigDict(extra="forbid")


def storable(text: str) -> str:
    """`text`, if PostgreSQL can store it."""
    if "\0" in text:
        raise ValueError("must not contain the character U+0000")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("must not contain half of a surrogate pair")
    return text


Text = Annotated[str, AfterValidator(storable)]
"""Text that PostgreSQL can store."""
