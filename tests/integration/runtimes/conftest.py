"""Real models on the recordings that the project ships, and on made-up sounds that hold no word."""

import json
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from callytics.domain.audio import SAMPLE_RATE_HZ
from callytics.domain.transcript import Interval
from callytics.settings import Settings

if TYPE_CHECKING:
    from callytics.ports import Audio

SAMPLES = Path(__file__).parents[3] / "samples"


def read_wav(path: Path) -> "Audio":
    with wave.open(str(path)) as file:
        assert file.getframerate() == SAMPLE_RATE_HZ
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return samples.astype(np.float32) / np.float32(2**15)


def whole(audio: "Audio") -> tuple[Interval, ...]:
    """All of `audio`, as if somebody spoke throughout."""
    return (Interval(start_s=0.0, end_s=len(audio) / SAMPLE_RATE_HZ),)


@pytest.fixture(scope="session")
def call() -> "Audio":
    """A call with two speakers, 71 s, 16 kHz, both on one channel."""
    return read_wav(SAMPLES / "dialogue_16k_mono.wav")


@pytest.fixture(scope="session")
def reference() -> Sequence[dict[str, Any]]:
    """What is said in `call`: speaker, start, end and text of each turn."""
    turns: list[dict[str, Any]] = json.loads((SAMPLES / "dialogue_ref.json").read_text("utf-8"))
    return turns


def offline_settings(**tasks: dict[str, Any]) -> Settings:
    """The offline preset, with `tasks` changed, whatever the person who runs the tests configures."""
    return Settings(preset="offline", models=dict(tasks))


def _silence(seconds: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.zeros_like(seconds)


def _noise(seconds: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).normal(0, 0.05, len(seconds))


def _ringing(seconds: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    tone = 0.2 * (np.sin(2 * np.pi * 440 * seconds) + np.sin(2 * np.pi * 480 * seconds))
    return np.asarray(np.where(seconds % 3 < 1, tone, 0.0))


def _hold_music(seconds: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Four chords over and over, two seconds each, fading, with a little noise."""
    chords = np.array([(262, 330, 392), (220, 262, 330), (175, 220, 262), (196, 247, 294)])
    pitches = chords[(seconds // 2).astype(int) % 4]
    tones = np.sin(2 * np.pi * pitches * seconds[:, None]).sum(axis=1)
    return np.asarray(0.1 * tones * np.exp(-0.7 * (seconds % 2)) + 0.1 * _noise(seconds))


def _melody(seconds: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A note a second, with vibrato and overtones: as near to singing as sines come."""
    notes = np.array([392, 440, 494, 523, 494, 440, 392, 330])
    pitch = notes[seconds.astype(int) % 8] * (1 + 0.01 * np.sin(2 * np.pi * 5.5 * seconds))
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE_HZ
    tones = sum(0.15 / overtone * np.sin(overtone * phase) for overtone in range(1, 8))
    return np.asarray(tones * np.exp(-(seconds % 1)) + 0.06 * _noise(seconds))


_WORDLESS = (_silence, _noise, _ringing, _hold_music, _melody)


@pytest.fixture(scope="session", params=_WORDLESS, ids=lambda make: make.__name__.strip("_"))
def wordless(request: pytest.FixtureRequest) -> "Audio":
    """30 s in which nobody speaks."""
    return _thirty_seconds(request.param)


@pytest.fixture(scope="session")
def all_wordless() -> "Audio":
    """30 s of each, one after the other: a window of the recogniser each."""
    return np.concatenate([_thirty_seconds(make) for make in _WORDLESS])


@pytest.fixture(scope="session")
def hold_music() -> "Audio":
    return _thirty_seconds(_hold_music)


def _thirty_seconds(make: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]) -> "Audio":
    seconds = np.arange(30 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    return np.asarray(make(seconds), np.float32)
