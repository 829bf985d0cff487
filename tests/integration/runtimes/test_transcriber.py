"""faster-whisper with the offline preset's model: what it hears, and what it must not make up."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jiwer
import numpy as np
import pytest

from callytics.domain.audio import SAMPLE_RATE_HZ
from callytics.domain.hallucination import SPEECH_MARGIN_S
from callytics.domain.transcript import Interval, Word
from callytics.errors import ConfigurationError, InvalidRequestError, StageAbandonedError
from callytics.ports import Progress, Transcription
from tests.integration.runtimes.conftest import offline_settings, whole
from workers.runtimes import load
from workers.runtimes.faster_whisper import FasterWhisper, choose_compute_type
from workers.runtimes.voice_activity import SileroVoiceActivity

if TYPE_CHECKING:
    from callytics.ports import Audio

pytestmark = pytest.mark.models


def load_whisper(**changes: Any) -> FasterWhisper:
    model = load("transcribe", offline_settings(transcribe=changes))
    assert isinstance(model, FasterWhisper)
    return model


@pytest.fixture(scope="module")
def whisper() -> FasterWhisper:
    model = load_whisper()
    model.warm_up()
    return model


@pytest.fixture(scope="module")
def speech(call: "Audio") -> tuple[Interval, ...]:
    return SileroVoiceActivity().speech(call)


def listen(
    model: FasterWhisper,
    audio: "Audio",
    speech: Sequence[Interval],
    *,
    language: str | None = None,
    hotwords: Sequence[str] = (),
    progress: Progress = lambda _: None,
) -> Transcription:
    return model.transcribe(
        audio, speech=speech, language=language, hotwords=hotwords, progress=progress
    )


def text_of(words: Sequence[Word]) -> str:
    return " ".join(word.text for word in words)


def character_error_rate(reference: str, found: str) -> float:
    """Of letters and digits: spaces and punctuation are another stage's business."""
    rate = jiwer.cer(re.sub(r"\W", "", reference), re.sub(r"\W", "", found))
    assert isinstance(rate, float)
    return rate


@dataclass(frozen=True)
class Heard:
    """The whole call, heard once for all who look at it."""

    found: Transcription
    shares: Sequence[float]


@pytest.fixture(scope="module")
def heard(whisper: FasterWhisper, call: "Audio", speech: Sequence[Interval]) -> Heard:
    shares: list[float] = []
    return Heard(listen(whisper, call, speech, progress=shares.append), shares)


def test_a_call_is_understood(heard: Heard, reference: Sequence[dict[str, Any]]) -> None:
    found = heard.found
    said = " ".join(turn["text"] for turn in reference)
    assert character_error_rate(said, text_of(found.words)) < 0.09
    assert found.language == "ko"
    assert found.language_probability > 0.9


def test_words_come_in_order_inside_speech_and_with_confidence(
    heard: Heard, speech: Sequence[Interval]
) -> None:
    words = heard.found.words

    assert [word.start_s for word in words] == sorted(word.start_s for word in words)
    for word in words:
        assert word.text == word.text.strip() != ""
        assert 0 <= word.start_s <= word.end_s
        assert 0 <= word.confidence <= 1
        assert any(
            word.start_s < span.end_s + SPEECH_MARGIN_S
            and span.start_s - SPEECH_MARGIN_S < word.end_s
            for span in speech
        )


def test_times_count_from_the_start_of_the_audio_although_silence_is_left_out(
    whisper: FasterWhisper, call: "Audio"
) -> None:
    gap_s = 40
    later = np.concatenate(
        [np.zeros(gap_s * SAMPLE_RATE_HZ, np.float32), call[: 9 * SAMPLE_RATE_HZ]]
    )
    found = listen(whisper, later, SileroVoiceActivity().speech(later), language="ko")

    assert found.words[0].start_s == pytest.approx(gap_s + 1.1, abs=0.5)
    assert text_of(found.words).startswith("안녕하세요")


def test_the_size_of_a_batch_changes_no_word(whisper: FasterWhisper, call: "Audio") -> None:
    start = call[: 35 * SAMPLE_RATE_HZ]
    speech = SileroVoiceActivity().speech(start)
    alone = listen(load_whisper(batch_size=1), start, speech, language="ko")
    together = listen(whisper, start, speech, language="ko")
    assert text_of(alone.words) == text_of(together.words)


def test_no_words_without_speech(whisper: FasterWhisper, wordless: "Audio") -> None:
    speech = SileroVoiceActivity().speech(wordless)
    found = listen(whisper, wordless, speech, language="ko")
    assert speech == ()
    assert found.words == ()


def test_no_words_even_where_voice_activity_is_mistaken(
    whisper: FasterWhisper, all_wordless: "Audio"
) -> None:
    assert listen(whisper, all_wordless, whole(all_wordless), language="ko").words == ()


def test_hold_music_between_speech_gets_no_words(
    whisper: FasterWhisper, call: "Audio", hold_music: "Audio"
) -> None:
    spoken_s, held_s = 8.5, len(hold_music) / SAMPLE_RATE_HZ
    spoken = call[: int(spoken_s * SAMPLE_RATE_HZ)]
    audio = np.concatenate([spoken, hold_music, spoken])
    found = listen(whisper, audio, whole(audio), language="ko")

    assert not any(spoken_s + 1 < word.start_s < spoken_s + held_s for word in found.words)
    assert text_of(found.words).count("고객센터") == 2


def test_what_was_missed_at_first_is_heard_again(whisper: FasterWhisper, call: "Audio") -> None:
    """Whisper ends this window after its first word: the same sentences twice, cut off in a word."""
    spoken = call[: 8 * SAMPLE_RATE_HZ]
    audio = np.concatenate([spoken, np.zeros(30 * SAMPLE_RATE_HZ, np.float32), spoken])
    found = listen(whisper, audio, SileroVoiceActivity().speech(audio), language="ko")
    assert text_of(found.words).count("고객센터") == 2


def test_hotwords_are_taken_as_a_hint(whisper: FasterWhisper, call: "Audio") -> None:
    start = call[: 9 * SAMPLE_RATE_HZ]
    found = listen(whisper, start, whole(start), language="ko", hotwords=["한빛통신", "김민지"])
    assert "한빛통신" in text_of(found.words)


def test_progress_grows_to_nearly_one(heard: Heard) -> None:
    assert list(heard.shares) == sorted(heard.shares)
    assert 0.9 < heard.shares[-1] <= 1.0


def test_a_run_that_is_no_longer_wanted_ends(whisper: FasterWhisper, call: "Audio") -> None:
    start = call[: 9 * SAMPLE_RATE_HZ]

    def abandon(_: float) -> None:
        raise StageAbandonedError

    with pytest.raises(StageAbandonedError):
        listen(whisper, start, whole(start), language="ko", progress=abandon)


def test_a_language_that_whisper_lacks_is_named(whisper: FasterWhisper, call: "Audio") -> None:
    with pytest.raises(InvalidRequestError, match="`xx`"):
        listen(whisper, call[:SAMPLE_RATE_HZ], whole(call[:SAMPLE_RATE_HZ]), language="xx")


def test_a_result_can_be_told_from_another_models(whisper: FasterWhisper) -> None:
    assert whisper.info.name == "whisper-base"
    assert whisper.info.device == "cpu"
    assert len(whisper.info.revision) == 12
    assert whisper.info.settings == {"beam_size": 5, "compute_type": "int8", "batch_size": 4}


def test_arithmetic_that_the_device_lacks_is_refused_with_what_it_has() -> None:
    with pytest.raises(ConfigurationError, match="it has float32, int8"):
        choose_compute_type("float16", "cpu", {"int8", "float32"})


def test_automatic_arithmetic_is_the_fastest_of_the_device() -> None:
    assert choose_compute_type("auto", "cpu", {"int8", "float32"}) == "int8"
    assert choose_compute_type("auto", "cuda", {"int8", "float16", "float32"}) == "float16"


def test_a_folder_of_somebody_elses_is_loaded_by_its_path(
    whisper: FasterWhisper, tmp_path: Path
) -> None:
    folder = tmp_path / "my-whisper"
    folder.symlink_to(offline_settings().model_dir / "whisper-base")
    assert load_whisper(model=str(folder)).info.name == str(folder)
