"""What the summaries of a chat model are worth and what they cost: `python -m bench.summary`.

Reads the calls of bench/data/summary_calls.json, made up for this purpose: `dev` ones were looked at
while the prompt was written, `test` ones were not. A summary is right if it passes the named checks,
names what was asked and done (of each group of `asked` and `done` at least one word occurs) and nothing
of `wrong`.

Each conversation is new to the engine, which has read the part that all prompts share. With `--ahead`
its turns are sent one by one first, as they are spoken; with `--at-once N`, N conversations go on at the
same time, their turns mixed. `--budget` is what an answer may take before quotes stand in for it.
"""

import argparse
import json
import statistics
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any, Self

from pydantic import SecretStr

from callytics.domain.excerpt import Line
from callytics.domain.summary import PROMPT_VERSION
from callytics.domain.transcript import Role
from callytics.embedded.parts import llm_engine
from callytics.embedded.process import free_port, running
from callytics.errors import ModelUnavailableError
from callytics.model_files import resolve
from callytics.services.summary import (
    CheckedSummary,
    Source,
    SummaryOptions,
    read_ahead,
    summarise,
)
from callytics.settings import LlmSettings, Settings
from workers.runtimes.chat import OpenAiChat

DATA = Path(__file__).parent / "data" / "summary_calls.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    name: str
    split: str
    language: str
    lines: tuple[Line, ...]
    asked: Sequence[Sequence[str]]
    done: Sequence[Sequence[str]]
    wrong: Sequence[str]

    @classmethod
    def of(cls, row: dict[str, Any]) -> Self:
        lines = tuple(Line(role=Role(turn["role"]), text=turn["text"]) for turn in row["turns"])
        words = {key: row[key] for key in ("asked", "done", "wrong")}
        return cls(
            name=row["id"], split=row["split"], language=row["language"], lines=lines, **words
        )

    def verdict(self, text: str) -> str:
        """`right`, or what the summary misses or makes up."""
        faults = [f"says {word}" for word in self.wrong if word in text]
        for name, groups in (("asked", self.asked), ("done", self.done)):
            if not all(any(word in text for word in group) for group in groups):
                faults.append(f"misses what was {name}")
        return ", ".join(faults) or "right"


@contextmanager
def served(model: str, *, threads: int | None, slots: int, nice: int) -> Iterator[str]:
    """The base URL of an engine of our own that serves `model`."""
    folder = resolve(model, Settings())
    [gguf] = Path(folder).glob("*.gguf")
    port = free_port()
    process = llm_engine(gguf, alias=model, port=port, slots=slots)
    process = replace(process, nice=nice)
    if threads:
        process = replace(process, command=[*process.command, "--threads", str(threads)])
    with TemporaryDirectory() as logs, running(process, Path(logs) / "log", timeout_s=120):
        yield f"http://127.0.0.1:{port}/v1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    case: Case
    found: CheckedSummary
    read_s: float
    """What the last turn took that was read ahead."""

    def row(self) -> str:
        found = self.found
        failed = "; ".join(",".join(checks) for checks in found.failed)
        tokens = f"{found.prompt_tokens - found.cached_tokens}+{found.output_tokens}"
        return (
            f"| {self.case.name} | {found.source} | {self.case.verdict(found.text)} | {found.seconds:.2f} |"
            f" {tokens} | {found.text} | {failed} |"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    chat: OpenAiChat
    options: SummaryOptions
    ahead: bool
    budget_s: float | None

    def measure(self, case: Case) -> Measured:
        read_s = self._read_turns(case) if self.ahead else 0.0
        started = monotonic()
        try:
            found = summarise(
                self.chat,
                case.lines,
                case.language,
                self.options,
                ahead=self.ahead,
                deadline=started + self.budget_s if self.budget_s else None,
            )
        except ModelUnavailableError:
            seconds = round(monotonic() - started, 3)
            found = CheckedSummary(text="(late)", source=Source.NOTHING, seconds=seconds)
        return Measured(case=case, found=found, read_s=read_s)

    def _read_turns(self, case: Case) -> float:
        started = monotonic()
        for count in range(1, len(case.lines) + 1):
            started = monotonic()
            read_ahead(self.chat, case.lines[:count], case.language, self.options)
        return monotonic() - started


def report(measured: Sequence[Measured]) -> None:
    sources = Counter(one.found.source for one in measured)
    right = sum(one.case.verdict(one.found.text) == "right" for one in measured)
    seconds = [one.found.seconds for one in measured]
    print(
        f"\n{right} of {len(measured)} right; {', '.join(f'{sources[s]} {s}' for s in Source)};"
        f" seconds: median {statistics.median(seconds):.2f}, p95 {percentile(seconds, 95):.2f}, longest"
        f" {max(seconds):.2f}; last turn read in {percentile([one.read_s for one in measured], 50):.2f}"
    )


def percentile(values: Sequence[float], share: int) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * share // 100)]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.summary",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default=Settings().models.summarize.model)
    parser.add_argument("--base-url", help="a server that runs already; else ours is started")
    parser.add_argument("--api-key", default="none")
    parser.add_argument("--split", choices=["dev", "test", "all"], default="all")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--nice", type=int, default=0, help="of our engine; root may go below 0")
    parser.add_argument("--ahead", action="store_true")
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--budget", type=float, help="seconds")
    defaults = SummaryOptions.of(Settings().models.summarize.options)
    parser.add_argument("--input-chars", type=int, default=defaults.input_chars)
    parser.add_argument("--max-tokens", type=int, default=defaults.max_tokens)
    said = parser.parse_args()
    cases = [Case.of(row) for row in json.loads(DATA.read_text("utf-8"))]
    cases = [case for case in cases if said.split in (case.split, "all")]
    server = (
        nullcontext(said.base_url)
        if said.base_url
        else served(said.model, threads=said.threads, slots=said.slots, nice=said.nice)
    )
    with server as url:
        model = Settings().models.summarize.model_copy(update={"model": said.model})
        llm = LlmSettings(base_url=url, api_key=SecretStr(said.api_key))
        chat = OpenAiChat.load(
            model, where=said.model, device="cpu", threads=None, settings=Settings(llm=llm)
        )
        started = monotonic()
        chat.warm_up()
        how = "turns sent ahead" if said.ahead else f"{said.input_chars} characters read"
        print(
            f"{said.model}, prompt {PROMPT_VERSION}, {how}, {said.max_tokens} tokens,"
            f" {said.at_once} at once, {sys.platform}; warm after {monotonic() - started:.1f} s\n"
        )
        print(
            "| call | source | verdict | s | tokens read + written | summary | failed checks |\n"
            "|---|---|---|---|---|---|---|"
        )
        options = replace(defaults, input_chars=said.input_chars, max_tokens=said.max_tokens)
        bench = Bench(chat=chat, options=options, ahead=said.ahead, budget_s=said.budget)
        measured = []
        with ThreadPoolExecutor(said.at_once) as pool:
            for one in pool.map(bench.measure, cases):
                measured.append(one)
                print(one.row(), flush=True)
        report(measured)


if __name__ == "__main__":
    main()
