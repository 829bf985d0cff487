"""Who speaks when, with pyannote.audio: a pipeline of its own, or the parts that packages carry."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import onnxruntime
import torch

from callytics.domain.audio import SAMPLE_RATE_HZ
from callytics.domain.transcript import SpeakerSegment
from callytics.errors import ModelUnavailableError
from callytics.model_files import revision_of
from callytics.model_files.torchaudio_cpu import allow_torchaudio
from callytics.ports import ModelInfo, Progress
from callytics.settings import ModelSettings, Settings
from workers.runtimes.warm_up import warm_up_audio

# Otherwise it reports every load and every file's length to its makers.
os.environ["PYANNOTE_METRICS_ENABLED"] = "0"
allow_torchaudio()
with warnings.catch_warnings():
    # It warns that it cannot decode files; it is given samples.
    warnings.simplefilter("ignore")
    from pyannote.audio import Pipeline
    from pyannote.audio.core.plda import PLDA
    from pyannote.audio.pipelines import SpeakerDiarization

if TYPE_CHECKING:
    from callytics.ports import Audio

_PARTS = ("segmentation.bin", "wespeaker-campplus.onnx")
"""What the catalog's model consists of, instead of a pipeline's config.yaml."""

_SHORTEST_S = 0.1
"""Less holds no syllable."""


class Pyannote:
    """A Diarizer. `batch_size` is of windows (10 s each) and of embeddings.

    Options for the packaged parts: `threshold` (0..2, the cosine distance at which two voices are
    taken for two speakers) and `step` (0..1, of the window). A pipeline brings its own.
    """

    def __init__(self, pipeline: Any, info: ModelInfo) -> None:
        self.info = info
        self._pipeline = pipeline
