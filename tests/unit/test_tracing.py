"""Spans are really sent, and whoever takes them holds nobody up."""

import sys
from collections.abc import Iterator

import pytest

from callytics import tracing
from callytics.embedded.process import free_port
from callytics.errors import ConfigurationError
from callytics.settings import Settings, TracingSettings
from tests.support.tracing import Collector, collecting


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector
        tracing.close()


def test_spans_are_sent_to_the_collector_when_the_process_ends(collector: Collector) -> None:
    collector.when.set()
    tracing.configure(TracingSettings(endpoint=collector.url), "api")
    with tracing.span("outer"), tracing.span("inner"):
        pass
    tracing.close()
    assert sorted(collector.names) == ["inner", "outer"]
    assert collector.services == {"callytics-api"}


def test_a_collector_that_hangs_holds_up_neither_work_nor_the_end(collector: Collector) -> None:
    tracing.configure(TracingSettings(endpoint=collector.url), "worker")
    for _ in range(3_000):  # more than the queue holds
        with tracing.span("work"):
            pass
    assert collector.asked.wait(60)
    tracing.close()
    assert collector.names == []  # it hangs still


def test_a_collector_that_is_away_costs_its_spans_alone() -> None:
    tracing.configure(TracingSettings(endpoint=f"http://127.0.0.1:{free_port()}"), "worker")
    with tracing.span("work") as opened:
        assert opened.is_recording()
    tracing.close()
    assert tracing.trace_parent() is None


def test_without_the_libraries_a_process_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ConfigurationError, match=r"extra \"otel\""):
        tracing.configure(TracingSettings(endpoint="http://collector:4318"), "api")


def test_nothing_is_needed_where_nothing_is_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    tracing.configure(Settings().tracing, "api")
    with tracing.span("work") as opened:
        assert not opened.is_recording()
        assert tracing.headers() == {}


def test_the_standard_variable_names_a_collector_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://standard:4318")
    assert Settings().tracing.endpoint == "http://standard:4318"
    monkeypatch.setenv("CALLYTICS_TRACING__ENDPOINT", "http://own:4318")
    assert Settings().tracing.endpoint == "http://own:4318"


def test_what_is_not_sampled_is_not_sent(collector: Collector) -> None:
    collector.when.set()
    tracing.configure(TracingSettings(endpoint=collector.url, sample_ratio=0), "api")
    sampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with tracing.span("begun here"):
        pass
    with tracing.span("begun by the client", parent=sampled):
        pass
    tracing.close()
    assert collector.names == ["begun by the client"]
