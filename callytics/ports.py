"""What the use cases ask of the world outside: one small Protocol a capability.

Implementations stand in `workers/runtimes` (models) and `callytics/adapters` (stores, clients).
"""

import hashlib
import json
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias
from uuid import UUID

from callytics.domain.audio import PreparedAudio
from callytics.domain.delivery import Fault
from callytics.domain.providers import Use
from callytics.domain.sentiment import Judgement
from callytics.domain.transcript import Diarization, Interval, Word

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Audio: TypeAlias = NDArray[np.float32]
    """Mono samples in -1..1 at 16 kHz, shape (n,)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelInfo:
    """What a result needs beside it to be trusted and repeated; `details`: what else a worker's heartbeat
    tells of the model, as it is at the moment.
    """

    name: str
    revision: str
    device: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """The same for models that give the same answers: SHA-256 over name, revision and settings."""
        rests_on = json.dumps([self.name, self.revision, {**self.settings}], sort_keys=True)
        return hashlib.sha256(rests_on.encode()).hexdigest()[:16]


Progress: TypeAlias = Callable[[float], None]
"""Called now and then with the share that is done (0..1); raises StageAbandonedError when the run
is no longer wanted, so that a model's loop ends early."""


BY_CHANNEL = ModelInfo(name="channels", revision="1", device="cpu")
"""Named as the model where none was asked: voice activity of each channel says who speaks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Computed:
    """What a stage's model gave, and what it takes to trust it."""

    value: Any
    model: ModelInfo | None = None
    audio_s: float | None = None


class Model(Protocol):
    """What all runtimes share."""

    @property
    def info(self) -> ModelInfo: ...

    def warm_up(self) -> None:
        """Run once on a real sample, so that the first call pays for no lazy initialisation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcription:
    """Recognised words in order of time, and the language (ISO 639-1) with its probability."""

    words: tuple[Word, ...]
    language: str | None
    language_probability: float


class Preparer(Model, Protocol):
    def prepare(
        self,
        original: Path,
        *,
        key_prefix: str,
        channels: Mapping[str, int] | None,
        progress: Progress,
    ) -> PreparedAudio:
        """The recording's channels, ready for the models, stored as `KEY_PREFIX/channel-N.wav`.

        `channels` (role -> channel number), if given, names every channel of the recording and has
        speakers told by them. Raises UnusableAudioError of one kind or another.
        """


class Transcriber(Model, Protocol):
    def transcribe(
        self,
        audio: "Audio",
        *,
        speech: Sequence[Interval],
        language: str | None,
        hotwords: Sequence[str],
        progress: Progress,
    ) -> Transcription:
        """Words of `audio` with times in seconds from its start; none outside `speech`.

        `language` None lets the model find it. Words come with `channel` 0.
        """


class Diarizer(Model, Protocol):
    def diarize(
        self, audio: "Audio", *, num_speakers: int | None, progress: Progress
    ) -> Diarization:
        """Who speaks when; `num_speakers` None lets the model find how many there are."""


class Punctuator(Model, Protocol):
    def punctuate(self, texts: Sequence[str]) -> list[list[str]]:
        """The sentences of each text, with punctuation and spacing restored.

        The letters of a text, without spaces and punctuation, come back unchanged.
        """


class SentimentModel(Model, Protocol):
    def classify(self, texts: Sequence[str]) -> list[Judgement]:
        """What each text sounds like."""


Message: TypeAlias = Mapping[str, Any]
"""One message of a chat as the OpenAI protocol has it: `role`, and `content` as text or as parts (text,
image_url)."""


class AnswerCache(Protocol):
    """Answers by key. It may always be empty."""

    @property
    def connected(self) -> bool:
        """Whether the server behind it answered when it was last asked."""

    def get(self, keys: Iterable[str]) -> dict[str, bytes]:
        """What is known of `keys`."""

    def put(self, answers: Mapping[str, bytes]) -> None:
        """Know these, for the time that the cache is set to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatAnswer:
    """`cached_tokens` of the prompt were read before; 0 too where the server does not say.

    `model` is what answered, by the name that its server has for it; `provider` is whose server that is;
    `cost_usd` is what it takes for the tokens, by the prices in the settings.
    """

    text: str
    finish_reason: str
    provider: str = ""
    model: str = ""
    revision: str = ""
    prompt_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    cost_usd: float = 0.0
    seconds: float = 0.0


def answered_by(info: ModelInfo, answer: ChatAnswer | None) -> ModelInfo:
    """The model that gave `answer`, where `info` is the one that was asked first."""
    return info if answer is None else replace(info, name=answer.model, revision=answer.revision)


Accept: TypeAlias = Callable[[ChatAnswer], None]
"""Raises AnswerUnusableError for an answer that cannot be worked with."""


class ChatModel(Model, Protocol):
    def complete(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float,
        timeout_s: float,
        schema: Mapping[str, Any] | None = None,
        accept: Accept | None = None,
    ) -> ChatAnswer:
        """One answer to `messages`; raises ModelUnavailableError if none comes.

        `schema` is a JSON schema that the server is to hold the answer to; not every server can. What
        `accept` refuses counts as no answer: AnswerUnusableError, unless another server has a better one.
        """


class ProviderBook(Protocol):
    """What is written of the providers outside of the settings."""

    def chosen(self, task: str) -> Sequence[str] | None:
        """Who is to answer for `task`, in order; None: whom the settings say. Cheap to ask each time."""

    def note(self, use: Use) -> None:
        """Count a request. Never raises: what was answered is worth more than its count."""


class VoiceActivity(Protocol):
    def speech(self, audio: "Audio") -> tuple[Interval, ...]:
        """Where somebody speaks, in order, without overlap."""


INCOMING = "incoming/"
"""Where uploads lie until their call is accepted; what is left there belongs to no call."""


def call_folder(call_id: UUID) -> str:
    """Where all audio of a call lies."""
    return f"calls/{call_id}"


class AudioStore(Protocol):
    """Objects by key: originals and prepared channels. Keys are relative, with `/` between parts."""

    def write(self, key: str, chunks: Iterable[bytes]) -> None:
        """Store `chunks` under `key`, replacing what was there; all of it or, on an error, nothing."""

    def move(self, source: str, target: str) -> None:
        """Give the object another key; raises AudioMissingError."""

    def open_local(self, key: str) -> AbstractContextManager[Path]:
        """A local file with the object's bytes, read-only; raises AudioMissingError."""

    def read(self, key: str) -> Iterator[bytes]:
        """The object's bytes in chunks; raises AudioMissingError."""

    def delete_prefix(self, prefix: str) -> int:
        """Delete every object below `prefix`; the number deleted. Deleting twice is harmless."""

    def delete_older(self, prefix: str, age: timedelta) -> int:
        """Delete what was written below `prefix` longer than `age` ago; the number of objects."""


class UploadStore(AudioStore, Protocol):
    """An audio store that takes uploads too."""

    async def receive(self, key: str, chunks: AsyncIterable[bytes]) -> None:
        """As `write`, for chunks that arrive over the network: no thread waits for them."""


class AudioFetcher(Protocol):
    """Fetches what an `audio_url` names, from public addresses only."""

    def check(self, url: str) -> None:
        """Raise AudioUrlForbiddenError or AudioUrlUnreachableError if `fetch` would, without fetching."""

    def fetch(self, url: str) -> Iterator[bytes]:
        """The bytes at `url` in chunks; raises beside these two AudioTooLargeError."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CallbackAnswer:
    """What came of one request: the status that was answered, or the fault for which none was."""

    status: int | None = None
    fault: Fault | None = None
    seconds: float
    body: bytes = b""
    """The first 2 kB."""
    retry_after: str | None = None


class CallbackClient(Protocol):
    """Calls back, at public addresses only but for what the operator allows."""

    def post(self, url: str, *, headers: Mapping[str, str], body: bytes) -> CallbackAnswer:
        """One request, over in the configured time. Raises for nothing that the other side does."""
