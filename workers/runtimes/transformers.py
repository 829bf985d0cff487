"""Sentiment by a classifier of transformers: KcELECTRA, KoELECTRA and their like, fine-tuned."""

from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from callytics.settings import ModelSettings, Settings
from workers.runtimes.classify import MAX_TOKENS, Infer, Inputs, TextClassifier, reading_of
from workers.runtimes.pretrained import Pretrained, load_pretrained


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
        loaded = load_pretrained(
            "AutoModelForSequenceClassification",
            model,
            where=where,
            device=device,
            threads=threads,
            settings=settings,
        )
        return cls.around(loaded, model)

    @classmethod
    def around(cls, loaded: Pretrained, model: ModelSettings) -> Self:
        config = loaded.network.config
        return cls(
            replace(loaded.info, details={"model_type": config.model_type.upper()}),
            loaded.tokenizer.backend_tokenizer,
            _infer(loaded),
            reading_of(config.id2label, model.options),
            batch_size=model.batch_size,
            max_tokens=min(config.max_position_embeddings, MAX_TOKENS),
            pad_id=loaded.tokenizer.pad_token_id,
        )


def _infer(loaded: Pretrained) -> Infer:
    def infer(inputs: Inputs) -> NDArray[np.float32]:
        with torch.inference_mode():
            logits = loaded.network(**loaded.tensors(inputs)).logits
        found: NDArray[np.float32] = logits.float().softmax(dim=-1).cpu().numpy()
        return found

    return infer
