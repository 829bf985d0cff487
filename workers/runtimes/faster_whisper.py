"""Speech to words with Whisper on CTranslate2 (faster-whisper).

A channel is transcribed as a whole, not turn by turn: Whisper needs the context (cut by turns, its
character error rate doubles). Long silences are taken out first, because Whisper fills silence with
likely text, and its windows of 30 s end in pauses. What it returns is checked; where somebody spoke
and no word is left, it listens once more (domain/listening.py, domain/hallucination.py).

Whisper's own way out of a bad decoding, drawing lots at rising temperatures, is not taken: it gives
other words each time, out of noise too, and may take a minute for half a minute of audio. No window
is told what was recognised in the one before, either: mistakes would be carried on.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import ctranslate2
import numpy as np
from faster_whisper import BatchedInferencePipeline, WhisperModel
from faster_whisper.transcribe import Segment, TranscriptionInfo, restore_speech_timestamps

from callytics.domain.audio import SAMPLE_RATE_HZ
from callytics.domain.hallucination import RecognisedSegment, spoken_words
from callytics.domain.listening import in_gaps, spans_to_hear, unheard, windows
from callytics.domain.transcript import Interval, Word
from callytics.errors import ConfigurationError, InvalidRequestError
from callytics.model_files import revision_of
from callytics.ports import ModelInfo, Progress, Transcription
from callytics.settings import ModelSettings, Settings
from workers.runtimes.warm_up import warm_up_audio

if TYPE_CHECKING:
    from callytics.ports import Audio

_WINDOW_S = 30.0
"""What Whisper reads at once."""

_FASTEST: Mapping[str, Sequence[str]] = {
    "cpu": ("int8", "int8_float32", "float32"),
    "cuda": ("float16", "int8_float16", "bfloat16", "float32"),
}


class FasterWhisper:
    """A Transcriber.

    `batch_size` windows are decoded at once. `options` go to faster-whisper's `transcribe` as they
    are: `beam_size`, `patience`, `repetition_penalty`, ...
    """

    def __init__(
        self, whisper: WhisperModel, info: ModelInfo, *, batch_size: int, options: Mapping[str, Any]
    ) -> None:
        self.info = info
        self._whisper = whisper
        self._batched = BatchedInferencePipeline(whisper)
        self._batch_size = batch_size
        self._options = options

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
        supported = ctranslate2.get_supported_compute_types(device)
        compute_type = choose_compute_type(model.precision, device, supported)
        whisper = WhisperModel(
            str(where),
            device=device,
            compute_type=compute_type,
            cpu_threads=threads or 0,
            revision=model.revision,
            use_auth_token=settings.hf_token.get_secret_value() if settings.hf_token else None,
        )
        info = ModelInfo(
            name=model.model,
            revision=revision_of(where, model.revision),
            device=device,
            settings={
                **model.options,
                "compute_type": compute_type,
                "batch_size": model.batch_size,
            },
        )
        return cls(whisper, info, batch_size=model.batch_size, options=model.options)

    def warm_up(self) -> None:
        audio = warm_up_audio()
        whole = Interval(start_s=0.0, end_s=len(audio) / SAMPLE_RATE_HZ)
        self.transcribe(audio, speech=(whole,), language=None, hotwords=(), progress=lambda _: None)

    def transcribe(
        self,
        audio: "Audio",
        *,
        speech: Sequence[Interval],
        language: str | None,
        hotwords: Sequence[str],
        progress: Progress,
    ) -> Transcription:
        if language is not None and language not in self._whisper.supported_languages:
            raise InvalidRequestError(f"The recogniser does not know the language `{language}`.")
        if not speech:
            return Transcription(words=(), language=language, language_probability=0.0)
        asked = {
            "language": language,
            "hotwords": ", ".join(hotwords) or None,
            "word_timestamps": True,
            **self._options,
        }
        segments, found = self._hear(audio, speech, asked, progress)
        words = spoken_words(segments, speech)
        missed = unheard(speech, words)
        if missed:
            asked["language"] = found.language
            again = self._hear_again(audio, missed, asked, lambda _: progress(1.0))
            words = in_gaps(words, spoken_words(again, missed))
        return Transcription(
            words=words,
            language=found.language,
            language_probability=float(found.language_probability),
        )

    def _hear(
        self,
        audio: "Audio",
        speech: Sequence[Interval],
        asked: Mapping[str, Any],
        progress: Progress,
    ) -> tuple[list[RecognisedSegment], TranscriptionInfo]:
        """Several windows at once, each read from its beginning to where Whisper says it ends."""
        spans = spans_to_hear(speech, len(audio) / SAMPLE_RATE_HZ)
        clips = [
            {"start": window.start_s, "end": window.end_s}
            for window in windows(spans, speech, _WINDOW_S)
        ]
        segments, found = self._batched.transcribe(
            _cut_out(audio, spans), clip_timestamps=clips, batch_size=self._batch_size, **asked
        )
        return _collect(segments, spans, progress), found

    def _hear_again(
        self,
        audio: "Audio",
        missed: Sequence[Interval],
        asked: Mapping[str, Any],
        progress: Progress,
    ) -> list[RecognisedSegment]:
        """One window after the other, each from where the last one's words ended: more thorough."""
        spans = spans_to_hear(missed, len(audio) / SAMPLE_RATE_HZ)
        segments, _ = self._whisper.transcribe(
            _cut_out(audio, spans), temperature=0.0, condition_on_previous_text=False, **asked
        )
        return _collect(segments, spans, progress)


def choose_compute_type(precision: str, device: str, supported: Collection[str]) -> str:
    """`precision` if the device has it; `auto` is the fastest that loses next to nothing."""
    if precision == "auto":
        return next(name for name in _FASTEST[device] if name in supported)
    if precision not in supported:
        have = ", ".join(sorted(supported))
        raise ConfigurationError(f"This {device} has no {precision} arithmetic; it has {have}.")
    return precision


def _cut_out(audio: "Audio", spans: Sequence[Interval]) -> "Audio":
    """The `spans` of `audio`, one after the other."""
    chunks = map(_in_samples, spans)
    return np.concatenate([audio[chunk["start"] : chunk["end"]] for chunk in chunks])


def _in_samples(span: Interval) -> dict[str, int]:
    return {
        "start": round(span.start_s * SAMPLE_RATE_HZ),
        "end": round(span.end_s * SAMPLE_RATE_HZ),
    }


def _collect(
    segments: Iterable[Segment], spans: Sequence[Interval], progress: Progress
) -> list[RecognisedSegment]:
    """Decode `segments`, of what was cut out, and give their words the times of the whole audio."""
    followed = _follow(segments, sum(span.duration_s for span in spans), progress)
    timed = restore_speech_timestamps(followed, [*map(_in_samples, spans)], SAMPLE_RATE_HZ)
    return [_recognised(number, segment) for number, segment in enumerate(timed)]


def _follow(
    segments: Iterable[Segment], duration_s: float, progress: Progress
) -> Iterator[Segment]:
    """`segments`, with word of how far they are. Decoding happens as they are asked for."""
    for segment in segments:
        progress(min(1.0, float(segment.end) / duration_s))
        yield segment


def _recognised(number: int, segment: Segment) -> RecognisedSegment:
    words = tuple(
        Word(
            text=word.word.strip(),
            start_s=float(word.start),
            end_s=float(word.end),
            confidence=float(word.probability),
            segment=number,
        )
        for word in segment.words or ()
        if word.word.strip()
    )
    return RecognisedSegment(
        words=words,
        no_speech_probability=segment.no_speech_prob,
        mean_log_probability=segment.avg_logprob,
        compression_ratio=segment.compression_ratio,
    )
