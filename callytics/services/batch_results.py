"""Which of a consultation's results counts, over all runs of its batch."""

from collections.abc import Mapping
from typing import Any

from callytics.db.models import AnalysisItem, AnalysisResult


def best_of(item: AnalysisItem) -> AnalysisResult | None:
    """The latest analysis; None if no run had one."""
    return next((found for found in reversed(item.results) if found.analysis is not None), None)


def problem_of(item: AnalysisItem) -> Mapping[str, Any]:
    """Why a consultation has no analysis."""
    failed = [found.problem for found in reversed(item.results) if found.problem is not None]
    none = {"code": item.job.status.value, "detail": "The consultation was not analysed."}
    return item.job.problem or next(iter(failed), none)


SUMMARY, TITLES = ("customer", "agent", "result"), ("keyword", "descriptive")


def told(analysis: Mapping[str, Any]) -> dict[str, Any]:
    """Summary, keywords and titles of a stored analysis in the order that the customer shows them in,
    which PostgreSQL does not keep.
    """
    return {
        "summary": {part: analysis["summary"][part] for part in SUMMARY},
        "keywords": analysis["keywords"],
        "titles": {kind: analysis["titles"][kind] for kind in TITLES},
    }
