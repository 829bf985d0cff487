"""The PromQL that the panels are made of. What comes from rows every API process shows alike
(docs/observability.md): over several of them the maximum counts.
"""

RATE = "$__rate_interval"
"""Grafana's own: never less than four scrapes."""


def rows(metric: str) -> str:
    """A gauge that is read from rows."""
    return f"max without (instance, pod) ({metric})"


def rate(counter: str) -> str:
    """What a counter of sums in rows gains a second."""
    return rows(f"rate({counter}[{RATE}])")


def gained(counter: str, window: str) -> str:
    return rows(f"increase({counter}[{window}])")


def share(part: str, whole: str, *by: str) -> str:
    labels = ", ".join(by)
    return f"sum by ({labels}) ({part}) / sum by ({labels}) ({whole})"


def quantile(of: float, histogram: str, *by: str, selector: str = "") -> str:
    """Of a histogram of sums in rows."""
    labels = ", ".join(("le", *by))
    return f"histogram_quantile({of}, sum by ({labels}) ({rate(f'{histogram}_bucket{selector}')}))"
