"""What the runtimes on transformers share."""

from typing import Any

import torch

from callytics.errors import ConfigurationError
from callytics.settings import ModelSettings, Settings

_DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


def dtype_of(precision: str, device: str) -> torch.dtype:
    """`auto` is half precision on a GPU and single on a CPU."""
    if precision == "auto":
        precision = "float16" if device == "cuda" else "float32"
    if precision not in _DTYPES:
        raise ConfigurationError(
            f"There is no precision {precision}; there are {', '.join(_DTYPES)}."
        )
    return _DTYPES[precision]


def hub_options(model: ModelSettings, settings: Settings) -> dict[str, Any]:
    """What `from_pretrained` needs where the model is a hub id; a folder ignores it."""
    token = settings.hf_token.get_secret_value() if settings.hf_token else None
    return {"revision": model.revision or "main", "token": token}
