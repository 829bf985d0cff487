"""What all that clients are shown is made of."""

from pydantic import BaseModel, ConfigDict


class Schema(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)
