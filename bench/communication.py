"""What the words and the communication figures cost a call's result: `python -m bench.communication`.

The call that the project ships, said again and again for an hour; best of several rounds.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from callytics.domain.communication import assess
from callytics.domain.metrics import measure
from callytics.domain.punctuation import sentences_of
from callytics.domain.roles import RoleGuess
from callytics.domain.sentiment import of_turn
from callytics.domain.sentiment_words import judge, words_of
from callytics.domain.transcript import Role, Sentence, Sentiment, Turn

SAMPLE = Path(__file__).parents[1] / "samples" / "dialogue_ref.json"
SAMPLE_S = 71.4
CALL_S = 3600.0
ROUNDS = 7


def main() -> None:
    turns = hour_long()
    roles = {role.value: RoleGuess(role=role, confidence=1.0) for role in Role}
    metrics = measure(turns, (), roles, duration_s=CALL_S).roles
    best_s = dict.fromkeys(("words", "communication"), float("inf"))
    for _ in range(ROUNDS):
        started = perf_counter()
        words_of(turns)
        between = perf_counter()
        assess(turns, metrics)
        best_s["words"] = min(best_s["words"], between - started)
        best_s["communication"] = min(best_s["communication"], perf_counter() - between)
    print(f"{len(turns)} turns, {sum(len(turn.sentences) for turn in turns)} sentences")
    for name, seconds in best_s.items():
        print(f"{name:14} {1000 * seconds:6.1f} ms")


def hour_long() -> Sequence[Turn]:
    said = json.loads(SAMPLE.read_text(encoding="utf-8"))
    times = int(CALL_S / SAMPLE_S)
    spoken = [(row, SAMPLE_S * time) for time in range(times) for row in said]
    return [_turn(index, row, offset_s) for index, (row, offset_s) in enumerate(spoken)]


def _turn(index: int, row: dict[str, object], offset_s: float) -> Turn:
    text, speaker = str(row["text"]), str(row["speaker"])
    sentences = tuple(
        Sentence(text=one, sentiment=Sentiment(label=label, score=score))
        for one in sentences_of(text)
        for label, score in [judge(one)]
    )
    return Turn(
        index=index,
        start_s=offset_s + float(str(row["start"])),
        end_s=offset_s + float(str(row["end"])),
        speaker=speaker,
        role=Role(speaker),
        text=text,
        sentences=sentences,
        sentiment=of_turn(sentences),
    )


if __name__ == "__main__":
    main()
