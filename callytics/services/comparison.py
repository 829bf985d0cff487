"""Two variants of a model side by side: how fast, how reliable, and how far they agree."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
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
from callytics.domain.jobs import JOB_SHADOWS, JOBS, JobKind
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
    work: Stage | JobKind
    """Of what kind the runs are."""
    variants: tuple[VariantFigures, VariantFigures]
    speed: Estimate | None
    """Median time of the second by that of the first."""
    failures: Estimate | None
    """Share of failures of the second less that of the first."""
    pairs: int
    """Calls, or what else they work on, that both have done."""
    agreement: Sequence[Agreement]

    @property
    def subjects(self) -> str:
        """What one run is about, in the plural."""
        return _SUBJECTS.get(self.work, "calls")

    @property
    def says(self) -> Sequence[str]:
        """What the intervals allow to say, in sentences."""
        return [_of_speed(self), _of_failures(self), _of_agreement(self)]


def compare(
    session: Session, queue: Queue, first: str, second: str, window: timedelta
) -> Sequence[Comparison]:
    """What ended in the latest `window`: one for each kind of work of the queue that a shadow can repeat,
    those without any run left out unless none has one.
    """
    works: list[Stage | JobKind] = [
        *(spec.stage for spec in PIPELINE if spec.queue is queue),
        *(kind for kind in JOB_SHADOWS if JOBS[kind].queue is queue),
    ]
    found = [_compare(session, work, first, second, window) for work in works]
    return [one for one in found if any(side.runs for side in one.variants)] or found[:1]


def _compare(
    session: Session, work: Stage | JobKind, first: str, second: str, window: timedelta
) -> Comparison:
    since = StageStats(session).now() - window
    runs = [_ended(session, work, variant, since) for variant in (first, second)]
    figures = [_figures(*one) for one in zip((first, second), runs, strict=True)]
    times = _times(runs)
    enough = all(len(found) >= LEAST for found in times)
    shares = [one.failures for one in figures]
    pairs, agreement = _agreement(session, work, first, second, since)
    return Comparison(
        work=work,
        variants=(figures[0], figures[1]),
        speed=statistics.ratio_of_medians(*times) if enough else None,
        failures=statistics.share_difference(shares[0], shares[1])
        if shares[0] and shares[1] and min(map(len, runs)) >= LEAST
        else None,
        pairs=pairs,
        agreement=agreement,
    )


def _ended(
    session: Session, work: Stage | JobKind, variant: str, since: datetime
) -> Sequence[EndedRun]:
    stats = VariantStats(session)
    if isinstance(work, Stage):
        return stats.ended_stages(work, variant, since, ignoring=[BY_CHANNEL.name])
    return stats.ended_jobs((work, JOB_SHADOWS[work]), variant, since)


def _agreement(
    session: Session, work: Stage | JobKind, first: str, second: str, since: datetime
) -> tuple[int, Sequence[Agreement]]:
    """How many both worked on, and how far they agree there."""
    stats = VariantStats(session)
    if isinstance(work, Stage):
        pairs = stats.pairs(work, first, second, since)
        return len(pairs), _MEASURES[work](session, pairs, first) if pairs else []
    sides = stats.job_pairs(work, first, second, since)
    return len(sides), _JOB_MEASURES[work](sides) if sides else []


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


def _share(name: str, told: Sequence[bool]) -> Agreement:
    return Agreement(name=name, estimate=statistics.share(sum(told), len(told)))


def _of_words(_session: Session, pairs: Sequence[Pair], first: str) -> Sequence[Agreement]:
    texts = [
        ["".join(word["text"] for word in side["words"]) for side in sides]
        for sides in (_sides(pair, first, pair.main.output) for pair in pairs)
    ]
    return [_character_errors(texts)]


def _character_errors(texts: Sequence[Sequence[str]]) -> Agreement:
    """Of the second text against the first; spaces left out, since how Korean is spaced is a matter of its
    own.
    """
    parts = []
    for pair in texts:
        one, other = (text.replace(" ", "") for text in pair)
        parts.append((Levenshtein.distance(one, other), len(one)))
    return _ratio("character error rate, against the first", parts)


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
    found = []
    for pair in pairs:
        stored = session.get(Summary, pair.call.id)
        main = {"text": stored.text, **stored.checks} if stored else {"text": "", "passed": False}
        found.append(_sides(pair, first, main))
    alike = [
        (Levenshtein.normalized_similarity(*(side["text"] for side in sides)), 1.0)
        for sides in found
    ]
    return [_ratio("similarity of the summaries", alike), *_passed(found)]


def _passed(found: Sequence[_Sides]) -> Sequence[Agreement]:
    """How many summaries of each passed the checks."""
    first, second = (
        [side.get("source") != Source.QUOTES for side in sides]
        for sides in zip(*found, strict=True)
    )
    return [
        _share("passed the checks, the first", first),
        _share("passed the checks, the second", second),
    ]


def _of_quick_summaries(found: Sequence[_Sides]) -> Sequence[Agreement]:
    same = [one["source"] == other["source"] for one, other in found]
    return [
        _character_errors([(one["text"], other["text"]) for one, other in found]),
        _share("equal sources", same),
        *_passed(found),
    ]


def _of_analyses(found: Sequence[_Sides]) -> Sequence[Agreement]:
    verdicts = [_verdicts(*sides) for sides in found]
    equal = [(sum(one == other for one, other in pairs), len(pairs)) for pairs in verdicts]
    titles = [one["titles"]["keyword"] == other["titles"]["keyword"] for one, other in found]
    better = [other["quality_score"] - one["quality_score"] for one, other in found]
    return [
        _ratio("equal verdicts of the checks", equal),
        Agreement(name="Cohen's kappa", estimate=statistics.bootstrap(verdicts, statistics.kappa)),
        _ratio("keywords in common", [_in_common(*sides) for sides in found]),
        _share("equal keyword titles", titles),
        Agreement(
            name="quality score, the second less the first",
            estimate=statistics.bootstrap(better, fmean),
        ),
    ]


def _verdicts(one: Any, other: Any) -> Sequence[tuple[str, str]]:
    """What the checks that say something of both say of each."""
    first, second = (
        {check["name"]: str(check["passed"]) for check in side["checks"]} for side in (one, other)
    )
    return [(verdict, second[name]) for name, verdict in first.items() if name in second]


def _in_common(one: Any, other: Any) -> tuple[float, float]:
    """Keywords that both have, and keywords in all: Dice's coefficient (Dice 1945)."""
    first, second = set(one["keywords"]), set(other["keywords"])
    return 2 * len(first & second), len(first) + len(second)


_MEASURES: Mapping[Stage, Callable[[Session, Sequence[Pair], str], Sequence[Agreement]]] = {
    Stage.TRANSCRIBE: _of_words,
    Stage.DIARIZE: _of_speakers,
    Stage.PUNCTUATE: _of_sentences,
    Stage.SENTIMENT: _of_labels,
    Stage.SUMMARIZE: _of_summaries,
}

_JOB_MEASURES: Mapping[JobKind, Callable[[Sequence[_Sides]], Sequence[Agreement]]] = {
    JobKind.QUICK_SUMMARY: _of_quick_summaries,
    JobKind.ANALYSIS: _of_analyses,
}


_SUBJECTS: Mapping[Stage | JobKind, str] = {
    JobKind.QUICK_SUMMARY: "quick summaries",
    JobKind.ANALYSIS: "analyses",
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
        return (
            f"No {found.subjects} were worked on by both: only a shadow shows how far they agree."
        )
    if found.pairs < LEAST:
        return (
            f"Too few {found.subjects} to say how far they agree: {found.pairs}, and {LEAST} are the "
            "least."
        )
    told = "; ".join(
        f"{one.name} {one.estimate.value:.3f} ({one.estimate.low:.3f} to {one.estimate.high:.3f})"
        for one in found.agreement
    )
    return f"On the {found.pairs} {found.subjects} that both worked on: {told}."
