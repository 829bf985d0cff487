"""Loads a model of transformers, the same way for every task."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from callytics.errors import ConfigurationError
from callytics.model_files import revision_of
from callytics.model_files.torchaudio_cpu import allow_torchaudio
from callytics.ports import ModelInfo
from callytics.settings import ModelSettings, Settings

allow_torchaudio()
import transformers  # noqa: E402

transformers.logging.disable_progress_bar()  # a worker writes to a log

_PRECISIONS: Mapping[str, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Pretrained:
    network: Any
    tokenizer: Any
    info: ModelInfo

    def tensors(self, inputs: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        """`inputs` (arrays or tensors) where the network is."""
        return {
            name: torch.as_tensor(value, device=self.network.device)
            for name, value in inputs.items()
        }


def load_pretrained(
    kind: str,
    model: ModelSettings,
    *,
    where: Path | str,
    device: str,
    threads: int | None,
    settings: Settings,
) -> Pretrained:
    """The `model` by transformers' class `kind` (`AutoModelFor...`), ready for inference.

    Raises ConfigurationError for a precision that is not there, and for a checkpoint that lacks weights
    (an encoder without the trained head that its task needs): the library would take random ones.
    """
    if threads:
        torch.set_num_threads(threads)
    precision = _precision(model.precision, device)
    token = settings.hf_token.get_secret_value() if settings.hf_token else None
    options = {"revision": model.revision or "main", "token": token}
    network, loading = getattr(transformers, kind).from_pretrained(
        where, dtype=_PRECISIONS[precision], output_loading_info=True, **options
    )
    if loading["missing_keys"]:
        missing = ", ".join(sorted(loading["missing_keys"]))
        raise ConfigurationError(
            f"{model.model} was not trained for this task (it lacks {missing}): name one that was."
        )
    info = ModelInfo(
        name=model.model,
        revision=revision_of(where, model.revision),
        device=device,
        settings={**model.options, "precision": precision, "batch_size": model.batch_size},
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(where, **options)
    return Pretrained(network=network.to(device).eval(), tokenizer=tokenizer, info=info)


def _precision(wanted: str, device: str) -> str:
    if wanted == "auto":
        return "float16" if device == "cuda" else "float32"
    if wanted not in _PRECISIONS:
        known = ", ".join(_PRECISIONS)
        raise ConfigurationError(f"There is no precision {wanted}; there are {known}.")
    return wanted
