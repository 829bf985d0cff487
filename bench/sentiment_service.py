"""What batches across requests and the cache are worth: `python -m bench.sentiment_service [--seconds 10]`.

Servers, API and a worker of the configured sentiment model are real processes of this measurement's own.
- 32 clients at once, each with one text at a time that nobody sent before: batches of 4 to 32 against one
  message, one claim and one run of the model a text (bench/one_message.py), and against one text at a time
  with nothing else changed; in turns, the worker started anew for each;
- one client: a line, a paragraph and the longest text that is taken, for the first time and again, by the
  client's clock, by the answer's own, and asked of the service itself: what the cache stands in for, without
  HTTP, key and rate limit.
"""

import argparse
import http.client
import json
import os
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, cycle
from urllib.parse import urlsplit
from uuid import uuid4

from api.context import make_context
from bench.orchestration import spread
from bench.stack import BareStack, bare_stack, serving
from callytics.model_files.sentiment.lines import read_lines
from callytics.services.sentiment import Sentiments
from callytics.settings import get_settings
from tests.support.stack import spawn, wait_ready

CLIENTS = 32
ROUNDS = 3
SERVICE = ("workers", "--queues", "sentiment")
ONE_MESSAGE = "one message a text"
WAYS: Mapping[str, tuple[Sequence[str], Mapping[str, str]]] = {
    "batches of 4 to 32": (SERVICE, {}),
    ONE_MESSAGE: (("bench.one_message",), {}),
    "one text at a time": (
        SERVICE,
        {"CALLYTICS_SENTIMENT__MIN_BATCH": "1", "CALLYTICS_SENTIMENT__MAX_BATCH": "1"},
    ),
}
"""What works, and its own settings."""

WARM_UP = 20
LENGTHS: Mapping[str, tuple[int, int]] = {
    "a line": (0, 200),
    "500 characters": (500, 100),
    "2,000 characters": (2000, 50),
}
"""Characters of a text (0: a line as it is), and how many are asked for beside those that warm up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    per_second: float
    p50_ms: float
    p95_ms: float


class Client:
    """One connection. The lightest that the standard library has: it shares the cores with what it asks."""

    def __init__(self, stack: BareStack, url: str) -> None:
        self._http = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        self._headers = {"Content-Type": "application/json", "X-Bound-Key": stack.make_key()}

    def ask(self, text: str) -> tuple[float, float, str]:
        """Milliseconds by this clock and by the answer's, and the answer's X-Cache."""
        started = time.perf_counter()
        self._http.request(
            "POST", "/api/v1/sentiment/analyze", json.dumps({"text": text}), self._headers
        )
        response = self._http.getresponse()
        answer = json.loads(response.read())
        taken_ms = 1000 * (time.perf_counter() - started)
        assert answer["status"] == "success", answer
        return taken_ms, answer["data"]["processing_time_ms"], response.headers["X-Cache"]


def texts() -> Iterator[str]:
    """Real lines, each made another one by its number."""
    lines = cycle([line.text for line in read_lines("train")])
    return (f"{line} {number}" for line, number in zip(lines, count(), strict=False))


def joined(lines: Iterator[str], chars: int) -> Iterator[str]:
    """Texts of `chars` characters."""
    for line in lines:
        text = line
        while len(text) < chars:
            text = f"{text} {next(lines)}"
        yield text[: chars or None]


@contextmanager
def worker(stack: BareStack, module: Sequence[str], settings: Mapping[str, str]) -> Iterator[None]:
    os.environ.update(settings)
    with spawn(*module) as process:
        for name in settings:
            del os.environ[name]
        wait_ready(stack.sessions, process)
        yield
        process.terminate()
        process.wait()


def load(stack: BareStack, url: str, seconds: float, new: Iterator[str]) -> Load:
    with ThreadPoolExecutor(CLIENTS) as pool:
        ends_at = time.perf_counter() + seconds
        taken = [
            one
            for found in pool.map(lambda _: _keep_asking(stack, url, ends_at, new), range(CLIENTS))
            for one in found
        ]
    ordered = sorted(taken)
    return Load(
        per_second=len(taken) / seconds,
        p50_ms=statistics.median(ordered),
        p95_ms=ordered[int(len(ordered) * 0.95)],
    )


def _keep_asking(stack: BareStack, url: str, ends_at: float, new: Iterator[str]) -> Sequence[float]:
    client, taken = Client(stack, url), []
    while time.perf_counter() < ends_at:
        taken.append(client.ask(next(new))[0])
    return taken


def batches(stack: BareStack, seconds: float, new: Iterator[str]) -> None:
    found: dict[str, list[Load]] = {name: [] for name in WAYS}
    with serving("bench.one_message:create_app") as one_message:
        for _ in range(ROUNDS):
            for name, (module, settings) in WAYS.items():
                url = one_message if name == ONE_MESSAGE else stack.url
                with worker(stack, module, settings):
                    load(stack, url, 1, new)  # all is warm from here on
                    found[name].append(load(stack, url, seconds, new))
    for name, loads in found.items():
        print(
            f"{CLIENTS} clients, {name:20} "
            f"{_middle([one.per_second for one in loads])} texts/s, "
            f"p50 {_middle([one.p50_ms for one in loads])} ms, "
            f"p95 {_middle([one.p95_ms for one in loads])} ms"
        )
    together, *others = found.items()
    for name, loads in others:
        pairs = list(zip(together[1], loads, strict=True))
        ratios = [ours.per_second / other.per_second for ours, other in pairs]
        later = [ours.p95_ms - other.p95_ms for ours, other in pairs]
        print(
            f"throughput, {together[0]} / {name}: {_middle(ratios, 2)}; "
            f"p95 later by {_middle(later)} ms"
        )


def cache(stack: BareStack, new: Iterator[str]) -> None:
    client, context = Client(stack, stack.url), make_context(get_settings())
    for length, (chars, number) in LENGTHS.items():
        texts_so_long = joined(new, chars)
        taken: dict[str, list[tuple[float, ...]]] = {"MISS": [], "HIT": []}
        for _ in range(WARM_UP + number):
            text, other = next(texts_so_long), next(texts_so_long)
            for expected, times in taken.items():
                own_ms, answer_ms, state = client.ask(text)
                assert state == expected
                times.append((own_ms, answer_ms, _ask_service(context.sentiments, other)))
        _compare(length, taken)


def _compare(length: str, taken: Mapping[str, Sequence[tuple[float, ...]]]) -> None:
    for place, clock in enumerate(("client's clock", "answer's clock", "service itself")):
        medians = {}
        for state, times in taken.items():
            values = [one[place] for one in times[WARM_UP:]]
            medians[state] = statistics.median(values)
            print(f"{length}, {state:4} by the {clock}  {spread(values)}")
        print(f"  a miss takes {medians['MISS'] / medians['HIT']:.1f} times as long as a hit")


def _ask_service(service: Sentiments, text: str) -> float:
    """Milliseconds until it knows what `text` sounds like."""
    started = time.perf_counter()
    inquiry = service.begin(uuid4(), [text], left_s=10)
    if inquiry.untold:
        service.tell(inquiry)
    while inquiry.waiting:
        time.sleep(0.001)
        service.collect([inquiry])
    return 1000 * (time.perf_counter() - started)


def _middle(values: Sequence[float], digits: int = 0) -> str:
    middle, lowest, highest = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({lowest:.{digits}f} to {highest:.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    seconds = parser.parse_args().seconds
    new = texts()
    with bare_stack() as stack:
        batches(stack, seconds, new)
        with worker(stack, SERVICE, {}):
            cache(stack, new)


if __name__ == "__main__":
    main()
