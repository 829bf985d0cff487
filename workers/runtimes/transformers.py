"""Sentiment by a classifier of transformers: KcELECTRA, KoELECTRA and their like, fine-tuned."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from callytics.errors import ConfigurationError
from callytics.model_files import revision_of
from callytics.model_files.torchaudio_cpu import allow_torchaudio
from callytics.ports import ModelInfo
from callytics.settings import ModelSettings, Settings
from workers.runtimes.classify import MAX_TOKENS, Infer, Inputs, TextClassifier, shares_of
from workers.runtimes.torch_models import dtype_of, hub_options

allow_torchaudio()
from transformers import AutoModelForSequenceClassification, AutoTokenizer  # noqa: E402


class TransformersClassifier(TextClassifier):
    """A SentimentModel. `precision`: `auto`, `float32`, `float16` or `bfloat16`.

    Options: `labels` and `neutral_band` (classify.py).
    """

    @classmethod
    def load(
        cls,
        model: ModelSettings,
        *,
        where: Path | str,
        device: str,
        threads: int | None,
        settings: Settings,
    ) -> Self:
        if threads:
            torch.set_num_threads(threads)
        options = hub_options(model, settings)
        tokenizer = AutoTokenizer.from_pretrained(where, **options)
        network = _network(where, dtype_of(model.precision, device), options).to(device).eval()
        info = ModelInfo(
            name=model.model,
            revision=revision_of(where, model.revision),
            device=device,
            settings={
                **model.options,
                "precision": str(network.dtype).removeprefix("torch."),
                "batch_size": model.batch_size,
            },
        )
        return cls(
            info,
            tokenizer.backend_tokenizer,
            _infer(network),
            shares_of(network.config.id2label, model.options),
            batch_size=model.batch_size,
            max_tokens=min(network.config.max_position_embeddings, MAX_TOKENS),
            pad_id=tokenizer.pad_token_id,
        )


def _network(where: Path | str, dtype: torch.dtype, options: Mapping[str, Any]) -> Any:
    """The classifier; raises ConfigurationError for an encoder whose head was never trained."""
    network, loading = AutoModelForSequenceClassification.from_pretrained(
        where, dtype=dtype, output_loading_info=True, **options
    )
    if loading["missing_keys"]:
        raise ConfigurationError(
            "The sentiment model has no trained classifier (it lacks "
            f"{', '.join(sorted(loading['missing_keys']))}): name one that was fine-tuned."
        )
    return network


def _infer(network: Any) -> Infer:
    def infer(inputs: Inputs) -> NDArray[np.float32]:
        tensors = {
            name: torch.from_numpy(array).to(network.device) for name, array in inputs.items()
        }
        with torch.inference_mode():
            shares = network(**tensors).logits.float().softmax(dim=-1)
        found: NDArray[np.float32] = shares.cpu().numpy()
        return found

    return infer
