"""Lets torchaudio be imported beside a CPU build of torch.

Package indexes carry torchaudio only with an extension that wants CUDA's libraries; beside CPU torch
its import fails, and with it that of pyannote.audio and of transformers' models. What those two need
of torchaudio (filter banks, resampling) is pure torch. So here the extension is said to be absent,
which torchaudio provides for, before anything imports it.
"""

import sys
from collections.abc import Callable
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch


def allow_torchaudio() -> None:
    """Call before the first import of pyannote.audio or of a transformers model. Harmless twice."""
    if torch.version.cuda or "torchaudio" in sys.modules or find_spec("torchaudio") is None:
        return
    sys.modules["torchaudio._extension"] = _Absent("torchaudio._extension")


class _Absent(ModuleType):
    """What torchaudio's own modules read of its extension, where there is none."""

    _IS_TORCHAUDIO_EXT_AVAILABLE = False
    _IS_ALIGN_AVAILABLE = False

    @staticmethod
    def fail_if_no_align(function: Callable[..., Any]) -> Callable[..., Any]:
        """Would mark `function` as unusable; it fails by itself if somebody calls it."""
        return function
