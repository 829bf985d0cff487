"""What Prometheus is shown of providers: sums of rows, so they are the same in every API process."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TypeAlias

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from sqlalchemy.orm import Session

from callytics.db.providers import ProviderUsages
from callytics.domain.providers import BreakerState, Outcome, Use
from callytics.services import providers

Counts: TypeAlias = defaultdict[tuple[str, ...], float]

RATED = timedelta(hours=1)
"""What the success rate looks back at, in whole hours of the clock: the present one and the one before."""


def provider_metrics(session: Session) -> Iterator[Metric]:
    usages = ProviderUsages(session)
    requests: Counts = defaultdict(float)
    tokens: Counts = defaultdict(float)
    cost: Counts = defaultdict(float)
    seconds: Counts = defaultdict(float)
    for one in usages.sums():
        who = (one.task, one.provider)
        requests[*who, one.outcome.value] += one.requests
        tokens[*who, "prompt"] += one.prompt_tokens
        tokens[*who, "output"] += one.output_tokens
        cost[who] += one.cost_usd
        seconds[who] += one.seconds
    yield _counter("requests", "Requests by outcome.", ["outcome"], requests)
    yield _counter("tokens", "Tokens read and written.", ["direction"], tokens)
    yield _counter("cost_usd", "What that cost, where a price is set.", [], cost)
    yield _counter("seconds", "Seconds that the requests took.", [], seconds)
    yield _success_rate(usages.sums(RATED))
    yield _breaker_states(providers.breakers(session))


def _success_rate(latest: Sequence[Use]) -> Metric:
    asked: Counts = defaultdict(float)
    good: Counts = defaultdict(float)
    for one in latest:
        who = (one.task, one.provider)
        asked[who] += one.requests
        good[who] += one.requests * (one.outcome is Outcome.OK)
    rate = GaugeMetricFamily(
        "callytics_provider_success_rate",
        "Share of requests in this hour and the one before that were answered.",
        labels=["task", "provider"],
    )
    for labels, count in asked.items():
        rate.add_metric(list(labels), good[labels] / count)
    return rate


def _breaker_states(breakers: providers.Breakers) -> Metric:
    states = GaugeMetricFamily(
        "callytics_provider_breakers",
        "Living workers by whether they leave the provider alone (open) or not (closed).",
        labels=["task", "provider", "state"],
    )
    for who, workers in breakers.items():
        for state in BreakerState:
            states.add_metric([*who, state.value], workers[state])
    return states


def _counter(
    name: str, about: str, labels: Sequence[str], values: Mapping[tuple[str, ...], float]
) -> Metric:
    family = CounterMetricFamily(
        f"callytics_provider_{name}", about, labels=["task", "provider", *labels]
    )
    for who, value in values.items():
        family.add_metric(list(who), value)
    return family
