"""Who speaks when, with pyannote.audio: a pipeline of its own, or the parts that packages carry."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

import torch

from callytics.domain.audio import SAMPLE_RATE_HZ
from callytics.domain.transcript import Diarization, SpeakerSegment
from callytics.errors import ModelUnavailableError
from callytics.model_files import revision_of
from callytics.model_files.torchaudio_cpu import allow_torchaudio
from callytics.ports import ModelInfo, Progress
from callytics.settings import ModelSettings, Settings
from workers.runtimes.no_training import without_training
from workers.runtimes.warm_up import warm_up_audio

# Otherwise it reports every load, and the length of every call, to its makers.
os.environ["PYANNOTE_METRICS_ENABLED"] = "0"
allow_torchaudio()
with warnings.catch_warnings(), without_training():
    # It warns that it cannot decode files; it is given samples.
    warnings.simplefilter("ignore")
    from pyannote.audio import Pipeline
    from pyannote.audio.core.plda import PLDA
    from pyannote.audio.pipelines import SpeakerDiarization

if TYPE_CHECKING:
    from callytics.ports import Audio

_SEGMENTATION = "segmentation.bin"
_EMBEDDING = "wespeaker-campplus.onnx"
"""The files of the catalog's model, which has no config.yaml as pyannote's own pipelines do."""

_SHARES = {"segmentation": (0.0, 0.3), "embeddings": (0.3, 1.0)}
"""From where to where each long step takes the progress."""


class Pyannote:
    """A Diarizer. `batch_size` is of windows (10 s each) and of embeddings.

    Options, for the packaged parts only (a pipeline brings its own): `threshold`, the cosine distance
    (0..2) from which two voices are two speakers, and `step`, of the sliding window (0..1 of it).
    """

    def __init__(self, pipeline: Any, info: ModelInfo) -> None:
        self.info = info
        self._pipeline = pipeline

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
        # One thread, unless told otherwise: two gained 5 % on an idle machine of two cores, and on a
        # busy one OpenMP's threads spun for each other and took 4 to 20 times as long.
        torch.set_num_threads(threads or 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            packaged = isinstance(where, Path) and (where / _SEGMENTATION).exists()
            make = _from_parts if packaged else _from_pipeline
            pipeline = make(where, model, torch.device(device), settings)
        info = ModelInfo(
            name=model.model,
            revision=revision_of(where, model.revision),
            device=device,
            settings={**model.options, "batch_size": model.batch_size},
        )
        return cls(pipeline, info)

    def warm_up(self) -> None:
        self.diarize(warm_up_audio(), num_speakers=2, progress=lambda _: None)

    def diarize(
        self, audio: "Audio", *, num_speakers: int | None, progress: Progress
    ) -> Diarization:
        if not len(audio):
            return Diarization()
        with warnings.catch_warnings():
            # About fewer speakers than asked for, and means of nothing: both are answers here.
            warnings.simplefilter("ignore")
            waveform = torch.from_numpy(audio)[None]
            given = {"waveform": waveform, "sample_rate": SAMPLE_RATE_HZ, "uri": "call"}
            found = self._pipeline(given, num_speakers=num_speakers, hook=_hook(progress))
        duration_s = len(audio) / SAMPLE_RATE_HZ
        return Diarization(
            speech=_segments(found.speaker_diarization, duration_s),
            exclusive=_segments(found.exclusive_speaker_diarization, duration_s),
        )


def _segments(annotation: Any, duration_s: float) -> tuple[SpeakerSegment, ...]:
    """In order of start, cut at the end of the audio, which pyannote's frames reach a little beyond."""
    return tuple(
        SpeakerSegment(speaker=str(speaker), start_s=turn.start, end_s=min(turn.end, duration_s))
        for turn, _, speaker in annotation.itertracks(yield_label=True)
        if turn.start < duration_s
    )


def _from_parts(
    folder: Path | str, model: ModelSettings, device: torch.device, _: Settings
) -> SpeakerDiarization:
    """A pipeline out of a segmentation checkpoint and an ONNX speaker embedding.

    pyannote picks its class for an embedding by words in the path, `pyannote` before `wespeaker`, and
    any folder may have the first in its name: hence the link.
    """
    with TemporaryDirectory() as scratch:
        embedding = Path(scratch) / _EMBEDDING
        embedding.symlink_to(Path(folder).absolute() / _EMBEDDING)
        pipeline = SpeakerDiarization(
            segmentation=str(Path(folder) / _SEGMENTATION),
            segmentation_step=model.options.get("step", 0.1),
            segmentation_batch_size=model.batch_size,
            embedding=str(embedding),
            embedding_batch_size=model.batch_size,
            embedding_exclude_overlap=True,
            clustering="AgglomerativeClustering",
            plda=PLDA.__new__(PLDA),  # wanted by the constructor, not by this clustering
        )
        pipeline.to(device)
    clustering = {"method": "complete", "min_cluster_size": 6}
    clustering["threshold"] = model.options.get("threshold", 0.5)
    pipeline.instantiate({"segmentation": {"min_duration_off": 0.0}, "clustering": clustering})
    return pipeline


def _from_pipeline(
    where: Path | str, model: ModelSettings, device: torch.device, settings: Settings
) -> Any:
    """One of pyannote's pipelines (3.1, community-1, ...), from a folder or the hub."""
    pipeline = Pipeline.from_pretrained(
        where,
        revision=model.revision if isinstance(where, str) else None,
        token=settings.hf_token.get_secret_value() if settings.hf_token else None,
    )
    if pipeline is None:  # pyannote's way to say that the hub refused
        raise ModelUnavailableError(
            f"The hub does not give {model.model}: accept its conditions there and set "
            "CALLYTICS_HF_TOKEN."
        )
    pipeline.segmentation_batch_size = model.batch_size
    pipeline.embedding_batch_size = model.batch_size
    return pipeline.to(device)


def _hook(progress: Progress) -> Callable[..., None]:
    """What pyannote calls after each batch of its long steps."""

    def follow(
        step: str, _artefact: object, *, total: int = 0, completed: int = 0, **_: object
    ) -> None:
        if step in _SHARES and total:
            start, end = _SHARES[step]
            done = min(1.0, float(completed / total))  # the last batch counts as a full one
            progress(start + (end - start) * done)

    return follow
