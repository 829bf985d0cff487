"""Speech to words with Whisper on CTranslate2 (faster-whisper).

A channel is transcribed as a whole, not turn by turn: Whisper needs the context (cut by turns, its
character error rate doubles). Long silences are taken out first, because Whisper fills silence with
likely text, and what it returns is checked against the voice activity (domain/hallucination.py).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import ctranslate2
import numpy as np
from faster_whisper import BatchedInferencePipeline, WhisperModel
from faster_whisper.transcribe import Segment, restore_speech_timestamps

from callytics.domain.audio import SAMPLE_RATE_HZ
from callytics.domain.hallucination import RecognisedSegment, spoken_words
from callytics.domain.listening import spans_to_hear, windows
from callytics.domain.transcript import Interval, Word
from callytics.errors import ConfigurationError
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
    """A Transcriber. `batch_size` above 1 decodes so many windows of 30 s at once.

    `options` go to faster-whisper's `transcribe` as they are: `beam_size`, `temperature`, ...
    """

    def __init__(
        self, whisper: WhisperModel, info: ModelInfo, *, batch_size: int, options: Mapping[str, Any]
    ) -> None:
        self._recogniser = whisper if batch_size == 1 else BatchedInferencePipeline(whisper)
        self._batch_size = batch_size
        self._options = options
        self.info = info

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
        compute_type = choose_compute_type(
            model.precision, device, ctranslate2.get_supported_compute_types(device)
        )
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
        if not speech:
            return Transcription(words=(), language=language, language_probability=0.0)
        # Decoding may draw lots (temperature above 0): the same audio must give the same words.
        ctranslate2.set_random_seed(0)
        spans = spans_to_hear(speech, len(audio) / SAMPLE_RATE_HZ)
        chunks = [_in_samples(span) for span in spans]
        heard = np.concatenate([audio[chunk["start"] : chunk["end"]] for chunk in chunks])
        wanted = {
            "language": language,
            "hotwords": ", ".join(hotwords) or None,
            "word_timestamps": True,
            # What was misheard must not be carried on from window to window.
            "condition_on_previous_text": False,
            **self._options,
        }
        if self._batch_size > 1:
            wanted["batch_size"] = self._batch_size
            wanted["clip_timestamps"] = [
                {"start": window.start_s, "end": window.end_s}
                for window in windows(spans, speech, _WINDOW_S)
            ]
        segments, found = self._recogniser.transcribe(heard, **wanted)
        followed = _follow(segments, len(heard) / SAMPLE_RATE_HZ, progress)
        timed = restore_speech_timestamps(followed, chunks, SAMPLE_RATE_HZ)
        recognised = [_recognised(number, segment) for number, segment in enumerate(timed)]
        return Transcription(
            words=spoken_words(recognised, speech),
            language=found.language,
            language_probability=found.language_probability,
        )


def choose_compute_type(precision: str, device: str, supported: Collection[str]) -> str:
    """`precision` if the device has it; `auto` is the fastest that loses next to nothing."""
    if precision == "auto":
        return next(name for name in _FASTEST[device] if name in supported)
    if precision not in supported:
        have = ", ".join(sorted(supported))
        raise ConfigurationError(f"This {device} has no {precision} arithmetic; it has {have}.")
    return precision


def _in_samples(span: Interval) -> dict[str, int]:
    return {
        "start": round(span.start_s * SAMPLE_RATE_HZ),
        "end": round(span.end_s * SAMPLE_RATE_HZ),
    }


def _follow(
    segments: Iterable[Segment], duration_s: float, progress: Progress
) -> Iterator[Segment]:
    """`segments`, with word of how far they are. Decoding happens as they are asked for."""
    for segment in segments:
        progress(min(1.0, segment.end / duration_s))
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
    )
