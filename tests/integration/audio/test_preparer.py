"""Real recordings to prepared channels: the real decoder, voice activity and store."""

import hashlib
import wave
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from callytics.adapters.audio_store import ObjectAudioStore
from callytics.domain.audio import SAMPLE_RATE_HZ, Attribution, PreparedAudio
from callytics.domain.intervals import total_s
from callytics.errors import AudioChannelsError, AudioTooShortError, StageAbandonedError
from callytics.settings import AudioSettings
from tests.support.recordings import (
    SAMPLES,
    Form,
    Samples,
    call,
    noise,
    record,
    side_by_side,
    silence,
    wav_bytes,
)
from workers.audio.signal import level_dbfs, snr_db
from workers.runtimes.audio import AudioPreparer
from workers.runtimes.voice_activity import SileroVoiceActivity

MULAW = Form(name="mulaw.wav", codec="pcm_mulaw")
AGENT, CUSTOMER = call(start_s=1.0, length_s=7.0), call(start_s=8.7, length_s=5.2)


@dataclass
class Desk:
    """A preparer, its store, and a place for recordings."""

    folder: Path
    store: ObjectAudioStore
    shares: list[float]

    def prepare(
        self, original: Path, *, channels: Mapping[str, int] | None = None, **settings: float | None
    ) -> PreparedAudio:
        preparer = AudioPreparer(
            AudioSettings(**settings),
            store=self.store,
            voice_activity=SileroVoiceActivity(),
        )
        return preparer.prepare(
            original, key_prefix="calls/1", channels=channels, progress=self.shares.append
        )

    def recorded(self, samples: Samples, form: Form = MULAW) -> Path:
        return record(self.folder, form, samples)

    def read(self, key: str) -> Samples:
        with self.store.open_local(key) as path, wave.open(str(path)) as file:
            form = (file.getframerate(), file.getnchannels(), file.getsampwidth())
            assert form == (SAMPLE_RATE_HZ, 1, 2)
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return samples.astype(np.float32) / np.float32(2**15)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path, ObjectAudioStore((tmp_path / "store").as_uri()), [])


def test_a_call_on_one_channel(desk: Desk) -> None:
    original = SAMPLES / "dialogue_16k_mono.wav"
    audio = desk.prepare(original)
    assert audio.sha256 == hashlib.sha256(original.read_bytes()).hexdigest()
    assert (audio.codec, audio.sample_rate_hz, audio.source_channels) == ("pcm_s16le", 16000, 1)
    assert audio.duration_s == pytest.approx(71.38, abs=0.01)
    assert audio.attribution is Attribution.DIARIZATION
    [channel] = audio.channels
    assert (channel.index, channel.key) == (0, "calls/1/channel-0.wav")
    assert total_s(channel.speech) == pytest.approx(59, abs=3)
    samples = desk.read(channel.key)
    assert len(samples) == round(audio.duration_s * SAMPLE_RATE_HZ)
    assert level_dbfs(samples, channel.speech) == pytest.approx(-23.0, abs=0.1)


def test_a_stereo_call_is_told_apart_by_channel(desk: Desk) -> None:
    audio = desk.prepare(SAMPLES / "dialogue_8k_stereo_ulaw.wav")
    assert (audio.codec, audio.sample_rate_hz, audio.source_channels) == ("pcm_mulaw", 8000, 2)
    assert audio.attribution is Attribution.CHANNEL
    assert [channel.index for channel in audio.channels] == [0, 1]
    assert [channel.rms_dbfs for channel in audio.channels] == pytest.approx([-22.3, -24.8], abs=1)
    for channel in audio.channels:
        level = level_dbfs(desk.read(channel.key), channel.speech)
        assert level == pytest.approx(-23.0, abs=0.1)


def test_speech_is_where_the_turns_are(desk: Desk) -> None:
    audio = desk.prepare(SAMPLES / "dialogue_8k_stereo_ulaw.wav")
    lines = [line.split() for line in (SAMPLES / "dialogue_turns.rttm").read_text().splitlines()]
    for channel, speaker in zip(audio.channels, ("agent", "customer"), strict=True):
        turns = [
            (float(line[3]), float(line[3]) + float(line[4]))
            for line in lines
            if line[7] == speaker
        ]
        for spoken in channel.speech:
            middle = (spoken.start_s + spoken.end_s) / 2
            assert any(start <= middle <= end for start, end in turns)


def test_one_signal_on_two_channels_is_a_mono_call(desk: Desk) -> None:
    samples = call(length_s=10)
    audio = desk.prepare(desk.recorded(side_by_side(samples * 0.25, samples)))
    assert audio.attribution is Attribution.DIARIZATION
    assert [channel.index for channel in audio.channels] == [1]
    assert audio.source_channels == 2


def test_a_channel_on_which_nobody_speaks_leaves_a_mono_call(desk: Desk) -> None:
    audio = desk.prepare(desk.recorded(side_by_side(noise(10, -60), call(length_s=10))))
    assert audio.attribution is Attribution.DIARIZATION
    assert [channel.index for channel in audio.channels] == [1]


@pytest.mark.parametrize("second", [silence(10), call(length_s=10)], ids=["silent", "the same"])
def test_channels_that_were_named_are_kept_whatever_is_on_them(desk: Desk, second: Samples) -> None:
    original = desk.recorded(side_by_side(call(length_s=10), second))
    audio = desk.prepare(original, channels={"agent": 1, "customer": 0})
    assert audio.attribution is Attribution.CHANNEL
    assert [channel.index for channel in audio.channels] == [0, 1]


def test_three_channels_are_told_apart_by_channel(desk: Desk) -> None:
    original = desk.folder / "three.wav"
    original.write_bytes(wav_bytes(side_by_side(AGENT, silence(1), CUSTOMER)))
    audio = desk.prepare(original)
    assert audio.attribution is Attribution.CHANNEL
    assert [bool(channel.speech) for channel in audio.channels] == [True, False, True]


def test_crosstalk_is_not_speech(desk: Desk) -> None:
    agent, customer = side_by_side(AGENT, np.concatenate([silence(8), CUSTOMER], axis=1))
    both = np.stack([agent + 0.05 * customer, customer + 0.05 * agent])
    audio = desk.prepare(desk.recorded(both))
    first, second = (channel.speech for channel in audio.channels)
    assert max(one.end_s for one in first) < 7.7
    assert min(one.start_s for one in second) > 7.7


@pytest.mark.parametrize(
    ("number", "channels"),
    [
        (1, {"agent": 0, "customer": 1}),
        (2, {"agent": 0, "customer": 2}),
        (2, {"agent": 0, "customer": 0}),
        (2, {"agent": 1}),
        (3, {"agent": 0, "customer": 1}),
    ],
)
def test_channels_must_name_each_channel_once(
    desk: Desk, number: int, channels: Mapping[str, int]
) -> None:
    original = desk.folder / "original.wav"
    original.write_bytes(wav_bytes(np.repeat(call(length_s=2), number, axis=0)))
    with pytest.raises(AudioChannelsError) as refused:
        desk.prepare(original, channels=channels)
    assert refused.value.extra == {"source_channels": number}
    assert not (desk.folder / "store" / "calls").exists()


def test_the_channel_of_a_mono_call_may_be_named(desk: Desk) -> None:
    audio = desk.prepare(desk.recorded(AGENT), channels={"agent": 0})
    assert audio.attribution is Attribution.CHANNEL


@pytest.mark.parametrize("sound", [silence(5), noise(5, -60), noise(5, -25)])
def test_a_recording_without_speech_is_prepared_all_the_same(desk: Desk, sound: Samples) -> None:
    for samples in (sound, side_by_side(sound, silence(5))):
        audio = desk.prepare(desk.recorded(samples))
        assert not audio.has_speech
        assert audio.attribution is Attribution.DIARIZATION
        [channel] = audio.channels
        # Not made louder: there is nothing to hear.
        assert level_dbfs(desk.read(channel.key)) == pytest.approx(channel.rms_dbfs, abs=0.5)


@pytest.mark.parametrize("by_db", [-45, -20, 20, 90])
def test_every_level_becomes_the_same(desk: Desk, by_db: float) -> None:
    form = Form(name="float.wav", codec="pcm_f32le", rate_hz=16_000)
    original = desk.recorded(call(length_s=20) * np.float32(10 ** (by_db / 20)), form)
    [channel] = desk.prepare(original).channels
    assert total_s(channel.speech) == pytest.approx(17, abs=1.5)
    expected = (
        -23.0 if by_db > -40 else pytest.approx(-26, abs=2)
    )  # 40 dB is the most that is given
    assert level_dbfs(desk.read(channel.key), channel.speech) == pytest.approx(expected, abs=0.2)
    assert np.abs(desk.read(channel.key)).max() <= 1


def test_peaks_are_bent_and_not_cut_off(desk: Desk) -> None:
    [channel] = desk.prepare(desk.recorded(call(length_s=20)), loudness_dbfs=-12.0).channels
    samples = desk.read(channel.key)
    assert np.mean(np.abs(samples) > 0.999) < 0.001
    assert level_dbfs(samples, channel.speech) == pytest.approx(-12.0, abs=1.0)


def test_denoising_is_off_unless_asked_for_and_gentle_then(desk: Desk) -> None:
    samples = call(length_s=20) + noise(20, -32)
    original = desk.recorded(samples, Form(name="noisy.wav", codec="pcm_s16le", rate_hz=16_000))

    def snr(denoise_below_snr_db: float | None = None) -> float:
        audio = desk.prepare(original, denoise_below_snr_db=denoise_below_snr_db)
        [channel] = audio.channels
        assert level_dbfs(desk.read(channel.key), channel.speech) == pytest.approx(-23, abs=0.2)
        found = snr_db(desk.read(channel.key), channel.speech)
        assert found is not None
        return found

    raw = snr()
    assert raw == pytest.approx(10, abs=2.5)
    assert snr(denoise_below_snr_db=raw - 1) == pytest.approx(raw, abs=0.1)
    assert raw + 3 < snr(denoise_below_snr_db=raw + 1) < raw + 12


def test_a_tenth_of_a_second_is_too_short(desk: Desk) -> None:
    with pytest.raises(AudioTooShortError) as refused:
        desk.prepare(desk.recorded(call(start_s=1, length_s=0.1)))
    assert refused.value.extra == {"min_duration_s": 0.3}


def test_a_longer_recording_is_searched_in_parts_without_a_seam(desk: Desk) -> None:
    original = SAMPLES / "dialogue_16k_mono.wav"
    [whole] = desk.prepare(original).channels
    twice = desk.folder / "twice.wav"
    twice.write_bytes(wav_bytes(np.concatenate([call(), call()], axis=1)))
    [found] = desk.prepare(twice).channels
    assert total_s(found.speech) == pytest.approx(2 * total_s(whole.speech), abs=1.0)
    assert all(a.end_s < b.start_s for a, b in pairwise(found.speech))


def test_progress_grows_to_one(desk: Desk) -> None:
    desk.prepare(SAMPLES / "dialogue_8k_stereo_ulaw.wav")
    assert desk.shares == sorted(desk.shares)
    assert desk.shares[-1] == 1.0
    assert len(desk.shares) > 10


def test_an_abandoned_run_leaves_nothing_behind(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = desk.folder / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))

    def abandon(share: float) -> None:
        if share > 0.3:
            raise StageAbandonedError

    preparer = AudioPreparer(
        AudioSettings(), store=desk.store, voice_activity=SileroVoiceActivity()
    )
    with pytest.raises(StageAbandonedError):
        preparer.prepare(
            SAMPLES / "dialogue_16k_mono.wav", key_prefix="calls/1", channels=None, progress=abandon
        )
    assert list(scratch.iterdir()) == []
    assert not (desk.folder / "store" / "calls").exists()


def test_it_says_what_it_is_and_warms_up(desk: Desk) -> None:
    preparer = AudioPreparer(
        AudioSettings(), store=desk.store, voice_activity=SileroVoiceActivity()
    )
    preparer.warm_up()
    assert preparer.info.device == "cpu"
    assert preparer.info.settings == {"loudness_dbfs": -23.0, "denoise_below_snr_db": None}
