"""Lets pyannote.audio be imported without Lightning and torchmetrics, which serve its training only.

Those two bring torch's compiler, matplotlib and some 1,500 other modules: 2.3 of the 6 seconds (CPU)
that the import takes, 100 MB, and far more where the disk is cold. What inference uses of them is
below. A test compares the result with the real Lightning's (tests/integration/runtimes).
"""

import inspect
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Self

import torch


class LightningModule(torch.nn.Module):
    """A torch module that remembers its hyperparameters and loads itself from a checkpoint."""

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def hparams(self) -> "Hyperparameters":
        kept: Hyperparameters = self.__dict__.setdefault("_hyperparameters", Hyperparameters())
        return kept

    def save_hyperparameters(self, *names: str) -> None:
        """Keep the arguments `names` of the constructor that calls this."""
        frame = inspect.currentframe()
        if frame is None or frame.f_back is None:
            raise RuntimeError("This Python does not show who calls.")
        arguments = frame.f_back.f_locals
        self.hparams.update({name: arguments[name] for name in names})

    def on_load_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        """For subclasses: what a checkpoint holds beside weights."""

    @classmethod
    def load_from_checkpoint(
        cls, path: Any, map_location: Any, *, strict: bool, weights_only: bool, **arguments: Any
    ) -> Self:
        checkpoint = torch.load(path, map_location=map_location, weights_only=weights_only)
        known = inspect.signature(cls).parameters
        given = {**checkpoint["hyper_parameters"], **arguments}
        model = cls(**{name: value for name, value in given.items() if name in known})
        model.on_load_checkpoint(checkpoint)
        model.load_state_dict(checkpoint["state_dict"], strict=strict)
        return model


class Hyperparameters(dict[str, Any]):
    """A dictionary that is also read by attribute."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class _TrainingOnly:
    """Base class or type annotation of what is never made here."""


def _is_oom_error(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError)


_STAND_INS: Mapping[str, Mapping[str, Any]] = {
    "lightning": {"LightningModule": LightningModule, "LightningDataModule": _TrainingOnly},
    "lightning.fabric": {},
    "lightning.fabric.utilities": {},
    "lightning.fabric.utilities.cloud_io": {"_load": torch.load},
    "lightning.pytorch": {},
    "lightning.pytorch.utilities": {},
    "lightning.pytorch.utilities.memory": {"is_oom_error": _is_oom_error},
    "lightning.pytorch.utilities.model_summary": {},
    "lightning.pytorch.utilities.model_summary.model_summary": {"ModelSummary": _TrainingOnly},
    "torchmetrics": {"Metric": _TrainingOnly, "MetricCollection": _TrainingOnly},
}


@contextmanager
def without_training() -> Iterator[None]:
    """Import pyannote.audio in here. Afterwards others who import those libraries get the real ones."""
    if "lightning" in sys.modules or "torchmetrics" in sys.modules:
        yield
        return
    sys.modules.update({name: _module(name, names) for name, names in _STAND_INS.items()})
    try:
        yield
    finally:
        for name in _STAND_INS:
            del sys.modules[name]


def _module(name: str, content: Mapping[str, Any]) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update(content, __path__=[])
    return module
