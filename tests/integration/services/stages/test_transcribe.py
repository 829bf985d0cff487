from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast
from uuid import UUID

from callytics.domain.serial import from_json
from callytics.domain.stages import Stage, StageStatus
from callytics.domain.transcript import Interval, Word
from callytics.ports import ModelInfo, Progress, Transcriber, Transcription
from callytics.services.stages.transcribe import Transcribe
from tests.support.desk import Desk
from tests.support.recordings import call, side_by_side, silence, wav_bytes

if TYPE_CHECKING:
    from callytics.ports import Audio

MONO = wav_bytes(call(length_s=5))
STEREO = wav_bytes(side_by_side(call(start_s=1, length_s=4), call(start_s=9, length_s=4)))
FIRST = (Stage.PREPROCESS, Stage.TRANSCRIBE)
HEARD = Transcription(
    words=(
        Word(text="안녕하세요", start_s=1.0, end_s=1.5, confidence=0.9),
        Word(text="네", start_s=3.0, end_s=3.2, confidence=0.8),
    ),
    language="ko",
    language_probability=0.9,
)


@dataclass
class Ear:
    """A Transcriber that hears what it is told, and remembers what it was given."""

    hears: list[Transcription] = field(default_factory=lambda: [HEARD])
    given: list[tuple[int, bool, str | None, tuple[str, ...]]] = field(default_factory=list)
    info: ModelInfo = field(
        default_factory=lambda: ModelInfo(name="ear", revision="1", device="cpu")
    )

    def warm_up(self) -> None:
        """Nothing to warm."""

    def transcribe(
        self,
        audio: "Audio",
        *,
        speech: Sequence[Interval],
        language: str | None,
        hotwords: Sequence[str],
        progress: Progress,
    ) -> Transcription:
        self.given.append((len(audio), bool(speech), language, tuple(hotwords)))
        progress(0.5)
        return self.hears[len(self.given) - 1]


def listen(desk: Desk, ear: Ear, call_id: UUID) -> Transcription:
    """What is stored after `ear` heard the call."""
    desk.works = {**desk.works, Stage.TRANSCRIBE: Transcribe(cast("Transcriber", ear), desk.store)}
    desk.run(call_id, *FIRST)
    return stored(desk, call_id)


def stored(desk: Desk, call_id: UUID) -> Transcription:
    return from_json(Transcription, desk.stage(call_id, Stage.TRANSCRIBE).output or {})


def test_a_mono_call_is_heard_whole(desk: Desk) -> None:
    ear = Ear()
    call_id = desk.call(MONO, hotwords=["한빛통신"])
    assert listen(desk, ear, call_id) == HEARD
    assert ear.given == [(80_000, True, None, ("한빛통신",))]
    run = desk.stage(call_id, Stage.TRANSCRIBE)
    assert (run.status, run.model, run.audio_s) == (StageStatus.DONE, "ear", 5.0)
    assert desk.row(call_id).detected_language == "ko"


def test_each_channel_is_heard_and_its_words_say_which(desk: Desk) -> None:
    later = replace(HEARD, words=(Word(text="여보세요", start_s=2.0, end_s=2.5, confidence=0.7),))
    ear = Ear([HEARD, later])
    found = listen(desk, ear, desk.call(STEREO, channels={"agent": 0, "customer": 1}))
    assert [(word.text, word.channel) for word in found.words] == [
        ("안녕하세요", 0),
        ("여보세요", 1),
        ("네", 0),
    ]


def test_the_first_channels_language_is_the_others(desk: Desk) -> None:
    ear = Ear([HEARD, HEARD])
    listen(desk, ear, desk.call(STEREO))
    assert [language for _, _, language, _ in ear.given] == [None, "ko"]


def test_a_channel_without_words_settles_no_language(desk: Desk) -> None:
    nothing = Transcription(words=(), language="nn", language_probability=0.99)
    ear = Ear([nothing, HEARD])
    call_id = desk.call(STEREO)
    found = listen(desk, ear, call_id)
    assert [language for _, _, language, _ in ear.given] == [None, None]
    assert (found.language, found.language_probability) == ("ko", 0.9)
    assert desk.row(call_id).detected_language == "ko"


def test_a_language_that_was_asked_for_is_used(desk: Desk) -> None:
    ear = Ear([replace(HEARD, language="ja", language_probability=1.0)])
    listen(desk, ear, desk.call(MONO, language="ja"))
    assert [language for _, _, language, _ in ear.given] == ["ja"]


def test_where_nobody_speaks_there_are_no_words_and_no_language(desk: Desk) -> None:
    nothing = Transcription(words=(), language=None, language_probability=0.0)
    call_id = desk.call(wav_bytes(silence(3)))
    assert listen(desk, Ear([nothing]), call_id) == nothing
    assert desk.row(call_id).detected_language is None


def test_progress_counts_over_all_channels(desk: Desk) -> None:
    ear = Ear([HEARD, HEARD])
    work = Transcribe(cast("Transcriber", ear), desk.store)
    call_id = desk.call(STEREO)
    desk.run(call_id, Stage.PREPROCESS)
    with desk.sessions() as session:
        inputs = work.read(session, desk.row(call_id))
    shares: list[float] = []
    computed = work.compute(inputs, shares.append)
    assert shares == [0.25, 0.75]
    assert computed.audio_s == 2 * inputs.audio.duration_s
