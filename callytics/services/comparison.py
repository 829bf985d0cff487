"""Two variants of a model side by side: how fast, how reliable, and how far they agree."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import fmean, median
from typing import Any, TypeAlias

from rapidfuzz.distance import Levenshtein
from sqlalchemy.orm import Session

from callytics.db.models import Summary
from callytics.db.stage_stats import StageStats
from callytics.db.turns import Turns
from callytics.db.variant_stats import EndedRun, Pair, VariantStats
from callytics.domain import statistics
from callytics.domain.agreement import same_sentences, same_speaker
from callytics.domain.serial import from_json
from callytics.domain.stages import PIPELINE, Queue, Stage
from callytics.domain.statistics import Estimate
from callytics.domain.transcript import Diarization, Turn
from callytics.ports import BY_CHANNEL
from callytics.services.summary import Source

LEAST = 20
"""Runs, or calls, below which nothing is concluded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VariantFigures:
    """One variant. A run is one attempt; its seconds, if it was done, `per_audio_s` where the length of the
    audio is known.
    """

    variant: str
    runs: int
    failures: Estimate | None
    codes: Mapping[str, Estimate]
    median_s: Estimate | None
    mean_s: Estimate | None
    median_per_audio_s: Estimate | None
    mean_per_audio_s: Estimate | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """One measure over the calls that both worked on."""

    name: str
    estimate: Estimate


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    queue: Queue
    variants: tuple[VariantFigures, VariantFigures]
    speed: Estimate | None
    """Median time of the second by that of the first."""
    failures: Estimate | None
    """Share of failures of the second less that of the first."""
    calls: int
    """That both worked on."""
    agreement: Sequence[Agreement]

    @property
    def says(self) -> Sequence[str]:
        """What the intervals allow to say, in sentences."""
        return [_of_speed(self), _of_failures(self), _of_agreement(self)]


def compare(
    session: Session, queue: Queue, first: str, second: str, window: timedelta
) -> Comparison:
    """What ended in the latest `window`."""
    since = StageStats(session).now() - window
    stats = VariantStats(session)
    runs = [
        stats.ended(queue, variant, since, ignoring=[BY_CHANNEL.name])
        for variant in (first, second)
    ]
    figures = [_figures(*one) for one in zip((first, second), runs, strict=True)]
    times = _times(runs)
    enough = all(len(found) >= LEAST for found in times)
    shares = [one.failures for one in figures]
    stage = next((spec.stage for spec in PIPELINE if spec.queue is queue), None)
    pairs = stats.pairs(stage, first, second, since) if stage else []
    return Comparison(
        queue=queue,
        variants=(figures[0], figures[1]),
        speed=statistics.ratio_of_medians(*times) if enough else None,
        failures=statistics.share_difference(shares[0], shares[1])
        if shares[0] and shares[1] and min(map(len, runs)) >= LEAST
        else None,
        calls=len(pairs),
        agreement=_MEASURES[stage](session, pairs, first) if stage and pairs else [],
    )


def _figures(variant: str, runs: Sequence[EndedRun]) -> VariantFigures:
    codes = Counter(run.code for run in runs if run.code is not None)
    seconds, rates = _seconds(runs), _rates(runs)
    return VariantFigures(
        variant=variant,
        runs=len(runs),
        failures=statistics.share(codes.total(), len(runs)) if runs else None,
        codes={code: statistics.share(n, len(runs)) for code, n in codes.most_common()},
        median_s=_estimate(seconds, median),
        mean_s=_estimate(seconds, fmean),
        median_per_audio_s=_estimate(rates, median),
        mean_per_audio_s=_estimate(rates, fmean),
    )


def _estimate(
    values: Sequence[float], figure: Callable[[Sequence[float]], float]
) -> Estimate | None:
    return statistics.bootstrap(values, figure) if values else None


def _times(sides: Sequence[Sequence[EndedRun]]) -> Sequence[Sequence[float]]:
    """Seconds of what was done, in one unit: for each second of audio where enough of both know it."""
    rates = [_rates(runs) for runs in sides]
    if all(len(found) >= LEAST for found in rates):
        return rates
    return [_seconds(runs) for runs in sides]


def _seconds(runs: Sequence[EndedRun]) -> Sequence[float]:
    return [run.seconds for run in runs if run.code is None and run.seconds is not None]


def _rates(runs: Sequence[EndedRun]) -> Sequence[float]:
    """Of each second of audio, where its length is known."""
    return [
        run.seconds / run.audio_s
        for run in runs
        if run.code is None and run.seconds and run.audio_s
    ]


# --- agreement -----------------------------------------------------------------------------------

_Sides: TypeAlias = tuple[Any, Any]


def _sides(pair: Pair, first: str, main: Any) -> _Sides:
    """What the `first` variant found, and what the other did."""
    found = (main, pair.shadow.output)
    return found if pair.main.variant == first else (found[1], found[0])


def _ratio(name: str, parts: Sequence[tuple[float, float]]) -> Agreement:
    return Agreement(name=name, estimate=statistics.bootstrap(parts, statistics.ratio_of_sums))


def _of_words(_session: Session, pairs: Sequence[Pair], first: str) -> Sequence[Agreement]:
    """Characters without spaces, since how Korean is spaced is the next stage's business."""
    parts = []
    for pair in pairs:
        texts = [
            "".join(word["text"] for word in side["words"]).replace(" ", "")
            for side in _sides(pair, first, pair.main.output)
        ]
        parts.append((Levenshtein.distance(*texts), len(texts[0])))
    return [_ratio("character error rate, against the first", parts)]


def _of_speakers(_session: Session, pairs: Sequence[Pair], first: str) -> Sequence[Agreement]:
    parts = []
    for pair in pairs:
        one, other = _sides(pair, first, pair.main.output)
        parts.append(same_speaker(from_json(Diarization, one), from_json(Diarization, other)))
    return [_ratio("same speaker, share of speech", parts)]


def _turns(session: Session, pair: Pair, first: str) -> tuple[Sequence[Turn], Sequence[Turn]]:
    shadow = [from_json(Turn, turn) for turn in pair.shadow.output or ()]
    main = Turns(session).of(pair.call.id)
    return (main, shadow) if pair.main.variant == first else (shadow, main)


def _of_sentences(session: Session, pairs: Sequence[Pair], first: str) -> Sequence[Agreement]:
    parts = []
    for pair in pairs:
        one, other = (
            [[sentence.text for sentence in turn.sentences] for turn in turns]
            for turns in _turns(session, pair, first)
        )
        parts.append(same_sentences(one, other))
    return [_ratio("equal sentences", parts)]


def _of_labels(session: Session, pairs: Sequence[Pair], first: str) -> Sequence[Agreement]:
    calls = []
    for pair in pairs:
        one, other = (
            [each.sentiment.label for turn in turns for each in turn.sentences if each.sentiment]
            for turns in _turns(session, pair, first)
        )
        calls.append(list(zip(one, other, strict=False)))
    parts = [(sum(a == b for a, b in call), len(call)) for call in calls]
    kappa = statistics.bootstrap(calls, statistics.kappa)
    return [_ratio("equal labels", parts), Agreement(name="Cohen's kappa", estimate=kappa)]


def _of_summaries(session: Session, pairs: Sequence[Pair], first: str) -> Sequence[Agreement]:
    alike, passed = [], ([], [])  # type: ignore[var-annotated]
    for pair in pairs:
        stored = session.get(Summary, pair.call.id)
        main = {"text": stored.text, **stored.checks} if stored else {"text": "", "passed": False}
        sides = _sides(pair, first, main)
        alike.append((Levenshtein.normalized_similarity(*(side["text"] for side in sides)), 1.0))
        for told, side in zip(passed, sides, strict=True):
            told.append((side.get("source") != Source.QUOTES, 1.0))
    return [
        _ratio("similarity of the summaries", alike),
        _ratio("passed the checks, the first", passed[0]),
        _ratio("passed the checks, the second", passed[1]),
    ]


_MEASURES: Mapping[Stage, Callable[[Session, Sequence[Pair], str], Sequence[Agreement]]] = {
    Stage.TRANSCRIBE: _of_words,
    Stage.DIARIZE: _of_speakers,
    Stage.PUNCTUATE: _of_sentences,
    Stage.SENTIMENT: _of_labels,
    Stage.SUMMARIZE: _of_summaries,
}


# --- in words ------------------------------------------------------------------------------------


def _of_speed(found: Comparison) -> str:
    first, second = (one.variant for one in found.variants)
    if found.speed is None:
        counts = " and ".join(
            f"{one.median_s.count if one.median_s else 0} of {one.variant}"
            for one in found.variants
        )
        return f"Too few runs to compare their speed: {counts} were done, and {LEAST} of each are the least."
    low, high = found.speed.low, found.speed.high
    if high < 1:
        return (
            f"{second} is faster than {first}: it takes {1 - high:.0%} to {1 - low:.0%} less time."
        )
    if low > 1:
        return (
            f"{second} is slower than {first}: it takes {low - 1:.0%} to {high - 1:.0%} more time."
        )
    return (
        "No difference in speed is to be seen at this number of runs: "
        f"{second} takes between {low:.2f} and {high:.2f} times as long as {first}."
    )


def _of_failures(found: Comparison) -> str:
    first, second = (one.variant for one in found.variants)
    if found.failures is None:
        return f"Too few runs to compare their failures: {LEAST} of each are the least."
    low, high = found.failures.low * 100, found.failures.high * 100
    if found.failures.excludes_zero:
        word = "more" if low > 0 else "less"
        least, most = sorted((abs(low), abs(high)))
        return f"{second} fails {word} often than {first}, by {least:.1f} to {most:.1f} percentage points."
    return (
        "No difference in failures is to be seen at this number of runs: "
        f"between {low:+.1f} and {high:+.1f} percentage points."
    )


def _of_agreement(found: Comparison) -> str:
    if not found.agreement:
        return "No call was worked on by both: only a shadow shows how far they agree."
    if found.calls < LEAST:
        return f"Too few calls to say how far they agree: {found.calls}, and {LEAST} are the least."
    told = "; ".join(
        f"{one.name} {one.estimate.value:.3f} ({one.estimate.low:.3f} to {one.estimate.high:.3f})"
        for one in found.agreement
    )
    return f"On the {found.calls} calls that both worked on: {told}."
