"""What the summaries of a chat model are worth and what they cost: `python -m bench.summary`.

Reads the calls of bench/data/summary_calls.json, made up for this purpose: `dev` ones were looked at
while the prompt was written, `test` ones were not. A summary is right if it passes the named checks,
names what was asked and done (of each group of `asked` and `done` at least one word occurs) and nothing
of `wrong`.
"""

import argparse
import json
import statistics
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from pydantic import SecretStr

from callytics.domain.excerpt import Line
from callytics.domain.summary import PROMPT_VERSION
from callytics.domain.transcript import Role
from callytics.embedded.parts import llm_engine
from callytics.embedded.process import free_port, running
from callytics.model_files import resolve
from callytics.services.summary import CheckedSummary, Source, SummaryOptions, summarise
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

    def verdict(self, found: CheckedSummary) -> str:
        """`right`, or what the summary misses or makes up."""
        faults = [f"says {word}" for word in self.wrong if word in found.text]
        for name, groups in (("asked", self.asked), ("done", self.done)):
            if not all(any(word in found.text for word in group) for group in groups):
                faults.append(f"misses what was {name}")
        return ", ".join(faults) or "right"


@contextmanager
def served(model: str, threads: int | None) -> Iterator[str]:
    """The base URL of an engine of our own that serves `model`."""
    folder = resolve(model, Settings())
    [gguf] = Path(folder).glob("*.gguf")
    port = free_port()
    process = llm_engine(gguf, alias=model, port=port)
    if threads:
        process = replace(process, command=[*process.command, "--threads", str(threads)])
    with TemporaryDirectory() as logs, running(process, Path(logs) / "log", timeout_s=120):
        yield f"http://127.0.0.1:{port}/v1"


def measure(chat: OpenAiChat, cases: Sequence[Case], options: SummaryOptions) -> None:
    sources: Counter[str] = Counter()
    verdicts: Counter[str] = Counter()
    seconds = []
    for case in cases:
        found = summarise(chat, case.lines, case.language, options)
        verdict = case.verdict(found)
        sources[found.source] += 1
        verdicts["right" if verdict == "right" else "not right"] += 1
        seconds.append(found.seconds)
        failed = "; ".join(",".join(checks) for checks in found.failed)
        print(
            f"| {case.name} | {found.source} | {verdict} | {found.seconds:.1f} | {found.text} | {failed} |",
            flush=True,
        )
    shown = [f"{sources[source]} {source}" for source in Source]
    print(
        f"\n{verdicts['right']} of {len(cases)} right; {', '.join(shown)}; seconds: median "
        f"{statistics.median(seconds):.1f}, longest {max(seconds):.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.summary", description=__doc__)
    parser.add_argument("--model", default=Settings().models.summarize.model)
    parser.add_argument("--base-url", help="a server that runs already; else ours is started")
    parser.add_argument("--api-key", default="none")
    parser.add_argument("--split", choices=["dev", "test", "all"], default="all")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--input-chars", type=int, default=SummaryOptions().input_chars)
    said = parser.parse_args()
    cases = [Case.of(row) for row in json.loads(DATA.read_text("utf-8"))]
    cases = [case for case in cases if said.split in (case.split, "all")]
    with nullcontext(said.base_url) if said.base_url else served(said.model, said.threads) as url:
        model = Settings().models.summarize.model_copy(update={"model": said.model})
        llm = LlmSettings(base_url=url, api_key=SecretStr(said.api_key))
        chat = OpenAiChat.load(
            model, where=said.model, device="cpu", threads=None, settings=Settings(llm=llm)
        )
        chat.warm_up()
        print(
            f"{said.model}, prompt {PROMPT_VERSION}, {said.input_chars} characters read, {sys.platform}\n"
        )
        print(
            "| call | source | verdict | s | summary | failed checks |\n|---|---|---|---|---|---|"
        )
        measure(
            chat, cases, replace(SummaryOptions.of(model.options), input_chars=said.input_chars)
        )


if __name__ == "__main__":
    main()
