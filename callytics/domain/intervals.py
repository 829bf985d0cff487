"""Arithmetic on spans of audio, all in seconds."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

from callytics.domain.transcript import Interval


def union(intervals: Iterable[Interval], *, join_s: float = 0.0) -> tuple[Interval, ...]:
    """The time that any of `intervals` covers, in order; gaps of at most `join_s` are closed."""
    joined: list[Interval] = []
    for interval in sorted(intervals, key=lambda one: one.start_s):
        if joined and interval.start_s - joined[-1].end_s <= join_s:
            last = joined.pop()
            end_s = max(last.end_s, interval.end_s)
            joined.append(Interval(start_s=last.start_s, end_s=end_s))
        else:
            joined.append(interval)
    return tuple(joined)


def clipped(intervals: Iterable[Interval], duration_s: float) -> tuple[Interval, ...]:
    """What of `intervals` lies between 0 and `duration_s`."""
    cut = (
        Interval(start_s=max(0.0, one.start_s), end_s=min(duration_s, one.end_s))
        for one in intervals
    )
    return tuple(one for one in cut if one.end_s > one.start_s)


def complement(covered: Sequence[Interval], duration_s: float) -> tuple[Interval, ...]:
    """The gaps that `covered` (in order, without overlap) leaves between 0 and `duration_s`."""
    starts = [0.0, *(one.end_s for one in covered)]
    ends = [*(one.start_s for one in covered), duration_s]
    gaps = zip(starts, ends, strict=True)
    return tuple(Interval(start_s=start, end_s=end) for start, end in gaps if end > start)


def total_s(intervals: Iterable[Interval]) -> float:
    return sum(one.duration_s for one in intervals)


class Track:
    """Where one speaker speaks, made quick to ask."""

    def __init__(self, intervals: Iterable[Interval], *, join_s: float = 0.0) -> None:
        """At least one interval, in any order; they may overlap. Gaps of at most `join_s` are closed."""
        self.intervals = union(intervals, join_s=join_s)
        self._starts = [one.start_s for one in self.intervals]
        self._ends = [one.end_s for one in self.intervals]

    def at(self, time_s: float) -> Interval | None:
        """The interval that `time_s` is inside of."""
        before = bisect_left(self._starts, time_s) - 1
        found = self.intervals[before] if before >= 0 else None
        return found if found and time_s < found.end_s else None

    def overlap_s(self, start_s: float, end_s: float) -> float:
        """How much of the span is covered."""
        meeting = slice(bisect_right(self._ends, start_s), bisect_left(self._starts, end_s))
        return sum(
            min(end_s, one.end_s) - max(start_s, one.start_s) for one in self.intervals[meeting]
        )

    def distance_s(self, start_s: float, end_s: float) -> float:
        """How far the span is from the nearest interval; 0 where they meet."""
        following = bisect_left(self._ends, start_s)
        nearest = self.intervals[max(0, following - 1) : following + 1]
        return min(max(one.start_s - end_s, start_s - one.end_s, 0.0) for one in nearest)
