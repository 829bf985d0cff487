"""What all schemas share."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict


class Schema(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class StrictSchema(Schema):
    """A request: a misspelt field is an error, not silence."""

    model_config = ConfigDict(extra="forbid")


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain the character U+0000")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("must not contain half of a surrogate pair")
    return text


Text = Annotated[str, AfterValidator(_storable)]
"""Text that PostgreSQL can store."""
