"""pyannote.audio with the offline preset's model, and with a pipeline folder of pyannote's own form."""

import itertools
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import yaml

from callytics.domain.audio import SAMPLE_RATE_HZ
from callytics.domain.transcript import Diarization, SpeakerSegment
from callytics.errors import StageAbandonedError
from callytics.ports import Progress
from tests.integration.runtimes.conftest import SAMPLES, offline_settings, read_wav
from workers.runtimes import load
from workers.runtimes.pyannote import Pyannote  # isort: split

# After our runtime, which prepares the ground for pyannote's import.
import pyannote.audio as pyannote_audio
from pyannote.audio.core.task import Problem, Resolution, Specifications
from pyannote.audio.models.embedding import WeSpeakerResNet34
from pyannote.core import Annotation, Segment, Timeline
from pyannote.database.util import load_rttm
from pyannote.metrics.diarization import DiarizationErrorRate

if TYPE_CHECKING:
    from callytics.ports import Audio

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def pyannote() -> Pyannote:
    model = load("diarize", offline_settings())
    assert isinstance(model, Pyannote)
    model.warm_up()
    return model


def diarize(
    model: Pyannote,
    audio: "Audio",
    *,
    num_speakers: int | None = 2,
    progress: Progress = lambda _: None,
) -> Diarization:
    return model.diarize(audio, num_speakers=num_speakers, progress=progress)


def diarization_error_rate(found: tuple[SpeakerSegment, ...], duration_s: float) -> float:
    """Against the shipped reference, without a collar."""
    (reference,) = load_rttm(SAMPLES / "dialogue.rttm").values()
    annotation = Annotation()
    for one in found:
        annotation[Segment(one.start_s, one.end_s)] = one.speaker
    scored = Timeline([Segment(0, duration_s)])
    return float(DiarizationErrorRate()(reference, annotation, uem=scored))


@pytest.fixture(scope="module")
def told_apart(pyannote: Pyannote, call: "Audio") -> Diarization:
    """The whole call, once for all who look at it; how many speak the model finds by itself."""
    return diarize(pyannote, call, num_speakers=None)


def test_the_speakers_of_a_call_are_told_apart(told_apart: Diarization, call: "Audio") -> None:
    found = told_apart
    assert len({segment.speaker for segment in found.speech}) == 2
    assert diarization_error_rate(found.speech, len(call) / SAMPLE_RATE_HZ) < 0.06


def test_one_speaks_at_a_time_in_order(told_apart: Diarization, call: "Audio") -> None:
    found = told_apart.exclusive

    assert all(segment.start_s < segment.end_s for segment in found)
    for left, right in itertools.pairwise(found):
        assert left.end_s <= right.start_s
    assert found[-1].end_s <= len(call) / SAMPLE_RATE_HZ


def test_two_who_speak_at_once_are_both_heard(pyannote: Pyannote) -> None:
    """pyannote's own telephone sample: 1.9 s of overlap by its reference."""
    folder = Path(pyannote_audio.__file__).parent / "sample"
    (reference,) = load_rttm(folder / "sample.rttm").values()
    found = Annotation()
    for one in diarize(pyannote, read_wav(folder / "sample.wav")).speech:
        found[Segment(one.start_s, one.end_s)] = one.speaker
    assert found.get_overlap().duration() == pytest.approx(
        reference.get_overlap().duration(), abs=0.5
    )


def test_nobody_speaks_in_silence_noise_or_music(pyannote: Pyannote, wordless: "Audio") -> None:
    assert diarize(pyannote, wordless) == Diarization()


@pytest.mark.parametrize("seconds", [0.0, 0.0001, 0.01, 0.1, 0.5, 1.0, 3.0, 10.0, 10.5])
@pytest.mark.parametrize("num_speakers", [2, None])
def test_short_audio_is_no_problem(
    pyannote: Pyannote, call: "Audio", seconds: float, num_speakers: int | None
) -> None:
    start = int(1.2 * SAMPLE_RATE_HZ)
    audio = call[start : start + int(seconds * SAMPLE_RATE_HZ)]
    found = diarize(pyannote, audio, num_speakers=num_speakers)

    assert all(segment.end_s <= seconds for segment in found.speech)
    assert bool(found.speech) == bool(found.exclusive) == (seconds >= 0.5)


def test_progress_grows_to_one(pyannote: Pyannote, call: "Audio") -> None:
    shares: list[float] = []
    diarize(pyannote, call[: 20 * SAMPLE_RATE_HZ], progress=shares.append)
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert shares[-1] == pytest.approx(1.0)


def test_a_run_that_is_no_longer_wanted_ends(pyannote: Pyannote, call: "Audio") -> None:
    def abandon(_: float) -> None:
        raise StageAbandonedError

    with pytest.raises(StageAbandonedError):
        diarize(pyannote, call, progress=abandon)


def test_a_result_can_be_told_from_another_models(pyannote: Pyannote) -> None:
    assert pyannote.info.name == "pyannote-segmentation-campplus"
    assert len(pyannote.info.revision) == 12
    assert pyannote.info.settings == {"batch_size": 16, "step": 0.25}


def test_a_model_directory_may_have_any_name(tmp_path: Path, call: "Audio") -> None:
    """pyannote chooses its classes by words in paths; ours may hold any of them."""
    folder = tmp_path / "nvidia-speechbrain-pyannote"
    folder.symlink_to(offline_settings().model_dir / "pyannote-segmentation-campplus")
    model = load("diarize", offline_settings(diarize={"model": str(folder)}))
    assert isinstance(model, Pyannote)
    assert diarize(model, call[: 5 * SAMPLE_RATE_HZ]).speech


def test_a_pipeline_of_pyannotes_own_form_is_loaded(tmp_path: Path, call: "Audio") -> None:
    """As community-1 is laid out: WeSpeaker embeddings (untrained ones here), PLDA, VBx clustering."""
    model = load("diarize", offline_settings(diarize={"model": str(community_pipeline(tmp_path))}))
    assert isinstance(model, Pyannote)
    found = diarize(model, call[: 12 * SAMPLE_RATE_HZ]).exclusive
    assert found
    for left, right in itertools.pairwise(found):
        assert left.end_s <= right.start_s


def community_pipeline(folder: Path) -> Path:
    segmentation = offline_settings().model_dir / "pyannote-segmentation-campplus"
    for name in ("segmentation", "embedding", "plda"):
        (folder / name).mkdir()
    shutil.copyfile(
        segmentation / "segmentation.bin", folder / "segmentation" / "pytorch_model.bin"
    )
    torch.save(untrained_wespeaker(), folder / "embedding" / "pytorch_model.bin")
    random = np.random.default_rng(0)
    np.savez(
        folder / "plda" / "xvec_transform.npz",
        mean1=np.zeros(256),
        mean2=np.zeros(128),
        lda=random.normal(size=(256, 128)),
    )
    np.savez(
        folder / "plda" / "plda.npz", mu=np.zeros(128), tr=np.eye(128), psi=np.linspace(9, 0.1, 128)
    )
    parts = {name: f"$model/{name}" for name in ("segmentation", "embedding", "plda")}
    config = {
        "dependencies": {"pyannote.audio": "4.0.0"},
        "pipeline": {
            "name": "pyannote.audio.pipelines.SpeakerDiarization",
            "params": {**parts, "clustering": "VBxClustering", "embedding_exclude_overlap": True},
        },
        "params": {
            "clustering": {"threshold": 0.6, "Fa": 0.07, "Fb": 0.8},
            "segmentation": {"min_duration_off": 0.0},
        },
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def untrained_wespeaker() -> dict[str, Any]:
    """A checkpoint as pyannote saves it."""
    torch.manual_seed(0)
    network = WeSpeakerResNet34()
    return {
        "state_dict": network.state_dict(),
        "hyper_parameters": dict(network.hparams),
        "pytorch-lightning_version": "2.6.6",
        "pyannote.audio": {
            "versions": {"pyannote.audio": "4.0.0"},
            "architecture": {
                "module": "pyannote.audio.models.embedding.wespeaker",
                "class": "WeSpeakerResNet34",
            },
            "specifications": Specifications(
                problem=Problem.REPRESENTATION, resolution=Resolution.CHUNK, duration=10.0
            ),
        },
    }


SCORES = """
import json, sys, torch, warnings
warnings.simplefilter("ignore")
from callytics.model_files.torchaudio_cpu import allow_torchaudio
allow_torchaudio()
if sys.argv[1] == "stand-in":
    from workers.runtimes.no_training import without_training
    with without_training():
        from pyannote.audio import Model
else:
    from pyannote.audio import Model
torch.set_num_threads(1)
model = Model.from_pretrained(sys.argv[2]).eval()
torch.manual_seed(0)
with torch.inference_mode():
    scores = model(torch.randn(1, 1, 160000) * 0.1)
print(json.dumps({
    "real": hasattr(sys.modules.get("lightning"), "Trainer"),
    "scores": scores[0].mean(dim=0).tolist(),
    "hyperparameters": dict(model.hparams),
    "frames": scores.shape[1],
}))
"""


def test_lightnings_stand_in_loads_the_same_network_as_lightning() -> None:
    checkpoint = offline_settings().model_dir / "pyannote-segmentation-campplus/segmentation.bin"

    def scores(way: str) -> dict[str, Any]:
        command = [sys.executable, "-c", SCORES, way, str(checkpoint)]
        finished = subprocess.run(command, capture_output=True, text=True, check=True)
        content: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
        return content

    with ThreadPoolExecutor() as pool:
        stand_in, real = pool.map(scores, ("stand-in", "real"))
    assert real.pop("real")
    assert not stand_in.pop("real")
    assert stand_in == real
