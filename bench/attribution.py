"""How many words of the shipped call go to the right speaker: `python -m bench.attribution [FILE]`.

Prepares, transcribes and diarizes the recording with the configured models, and compares the turns with
`samples/dialogue_ref.json`, letter by letter: only letters that were recognised as they were spoken can
tell whose they are.
"""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from callytics.adapters.audio_store import ObjectAudioStore
from callytics.domain.audio import Attribution, PreparedAudio
from callytics.domain.conversation import Conversation, Heard, converse
from callytics.domain.stages import Stage
from callytics.domain.transcript import Word
from callytics.ports import AudioStore, Diarizer, Transcriber
from callytics.services.stages.diarize import by_channel
from callytics.services.stages.waves import read_channel
from callytics.settings import Settings
from workers.runtimes import load
from workers.runtimes.audio import AudioPreparer
from workers.runtimes.voice_activity import SileroVoiceActivity

SAMPLES = Path(__file__).parents[1] / "samples"


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """`judged`: words of which at least one letter is in the reference at that place."""

    words: int
    judged: int
    right: int

    @property
    def share(self) -> float:
        return self.right / self.judged


def hear(recording: Path, settings: Settings) -> Conversation:
    with TemporaryDirectory() as folder:
        store = ObjectAudioStore(Path(folder).as_uri())
        preparer = AudioPreparer(settings.audio, store=store, voice_activity=SileroVoiceActivity())
        audio = preparer.prepare(
            recording, key_prefix="calls/1", channels=None, progress=lambda _: None
        )
        words = _transcribe(audio, store, settings)
        diarization = by_channel(audio)
        if audio.attribution is Attribution.DIARIZATION:
            diarizer = cast("Diarizer", load(Stage.DIARIZE, settings))
            samples = read_channel(store, audio.channels[0].key)
            diarization = diarizer.diarize(samples, num_speakers=2, progress=lambda _: None)
    return converse(
        Heard(
            duration_s=audio.duration_s,
            attribution=audio.attribution,
            words=words,
            diarization=diarization,
        )
    )


def _transcribe(audio: PreparedAudio, store: AudioStore, settings: Settings) -> list[Word]:
    transcriber = cast("Transcriber", load(Stage.TRANSCRIBE, settings))
    return [
        replace(word, channel=channel.index)
        for channel in audio.channels
        for word in transcriber.transcribe(
            read_channel(store, channel.key),
            speech=channel.speech,
            language=None,
            hotwords=(),
            progress=lambda _: None,
        ).words
    ]


def score(words: Sequence[tuple[str, str]], reference: Path) -> Score:
    """Of `words`, each with its role before it, those whose role is that of the reference's speaker."""
    spoken = [
        (letter, turn["speaker"])
        for turn in json.loads(reference.read_text("utf-8"))
        for letter in filter(str.isalnum, turn["text"])
    ]
    heard = [
        (letter, number)
        for number, (_, text) in enumerate(words)
        for letter in filter(str.isalnum, text)
    ]
    matcher = SequenceMatcher(None, [a for a, _ in spoken], [a for a, _ in heard], autojunk=False)
    votes: dict[int, Counter[str]] = {}
    for block in matcher.get_matching_blocks():
        for n in range(block.size):
            speaker, number = spoken[block.a + n][1], heard[block.b + n][1]
            votes.setdefault(number, Counter())[speaker] += 1
    right = sum(words[number][0] == vote.most_common(1)[0][0] for number, vote in votes.items())
    return Score(words=len(words), judged=len(votes), right=right)


if __name__ == "__main__":
    recording = Path(sys.argv[1]) if len(sys.argv) > 1 else SAMPLES / "dialogue_16k_mono.wav"
    conversation = hear(recording, Settings())
    for turn in conversation.turns:
        print(f"{turn.start_s:6.2f} {turn.role.value:9}{turn.role_confidence:.2f} {turn.text}")
    heard = [(turn.role.value, word.text) for turn in conversation.turns for word in turn.words]
    result = score(heard, SAMPLES / "dialogue_ref.json")
    print(f"{result.right} of {result.judged} judged words ({result.share:.1%}) have their speaker")
