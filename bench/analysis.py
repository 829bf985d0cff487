"""What the analyses of a chat model are worth and what they cost: `python -m bench.analysis`.

Reads the calls of bench/data/summary_calls.json (see bench.summary) and the call that the project
ships, as text with labels. An analysis is right if summary and titles name what was asked and done (of
each group of `asked` and `done` at least one word occurs) and nothing of `wrong`; what is valid and
what rests on something is counted besides.

`--at-once N` asks for N analyses at the same time and then for the same ones one after the other, and prints
the ratio. Each conversation begins with a line of its own, since servers keep what they have read.
"""

import argparse
import json
import statistics
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from random import randrange
from time import monotonic

from pydantic import SecretStr

from bench.summary import DATA, Case, served
from callytics.domain.analysis import ANALYSIS_PROMPT_VERSION
from callytics.domain.excerpt import Line
from callytics.domain.transcript import Role
from callytics.services.analysis import Analysed, AnalysisForm, AnalysisOptions, analyse
from callytics.settings import LlmSettings, Settings
from workers.runtimes.chat import OpenAiChat

SHIPPED = Path(__file__).parents[1] / "samples" / "dialogue_ref.txt"
LABELS = {Role.AGENT: "상담사: ", Role.CUSTOMER: "고객: ", Role.UNKNOWN: ""}


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A call's analysis, and what is wrong with it."""

    name: str
    found: Analysed
    verdict: str

    @property
    def failed(self) -> list[str]:
        return [
            f"{finding.check} {finding.score:.2f}"
            for finding in self.found.analysis.findings
            if not finding.passed
        ]


def as_text(lines: Sequence[Line]) -> str:
    return "\n".join(LABELS[line.role] + line.text for line in lines)


def conversations(split: str) -> Iterator[tuple[str, str, Case | None]]:
    for row in json.loads(DATA.read_text("utf-8")):
        case = Case.of(row)
        if split in (case.split, "all"):
            yield case.name, as_text(case.lines), case
    if split in ("dev", "all"):
        yield "samples/dialogue_ref.txt", SHIPPED.read_text("utf-8"), None


def verdict(case: Case | None, found: Analysed) -> str:
    """`right`, or what the analysis misses or makes up."""
    if case is None:
        return "-"
    form = found.analysis.form
    said = " ".join((*form.summary.model_dump().values(), form.titles.descriptive))
    faults = [f"says {word}" for word in case.wrong if word in said]
    for name, groups in (("asked", case.asked), ("done", case.done)):
        if not all(any(word in said for word in group) for group in groups):
            faults.append(f"misses what was {name}")
    return ", ".join(faults) or "right"


def show(row: Row, text: str) -> None:
    found, form = row.found, row.found.analysis.form
    print(
        f"\n### {row.name}: quality {found.analysis.quality_score:.2f}, {row.verdict}, "
        f"{found.seconds:.1f} s, {found.prompt_tokens} + {found.output_tokens} tokens"
        f"{', asked twice' if found.repaired else ''}"
    )
    for part, support in found.analysis.evidence.parts.items():
        rests = " / ".join(text[one.start : one.end] for one in support.sentences)
        print(f"- {part}: {getattr(form.summary, part)} <- {rests or 'nothing'}")
    print(f"- keywords: {', '.join(form.keywords)}")
    print(f"- titles: {form.titles.keyword} | {form.titles.descriptive}")
    print(f"- not passed: {', '.join(row.failed) or 'none'}", flush=True)


def compare(chat: OpenAiChat, options: AnalysisOptions, texts: Sequence[str]) -> None:
    def ask(text: str) -> Analysed:
        return analyse(chat, f"고객: 접수 번호 {randrange(10**5)}번이에요.\n{text}", options)

    with ThreadPoolExecutor(len(texts)) as pool:
        for name in ("the first time", "once the prompt is read"):
            started = monotonic()
            list(pool.map(ask, texts))
            together_s = monotonic() - started
            print(f"{len(texts)} at once, {name}: {together_s:.1f} s", flush=True)
    started = monotonic()
    for text in texts:
        ask(text)
    in_turn_s = monotonic() - started
    print(f"{len(texts)} one after the other: {in_turn_s:.1f} s")
    print(f"at once / one after the other: {together_s / in_turn_s:.2f}")


def tell(rows: Sequence[Row]) -> None:
    judged = [row for row in rows if row.verdict != "-"]
    right = [row for row in judged if row.verdict == "right"]
    wrong = [row for row in judged if row.verdict != "right"]
    seconds = [row.found.seconds for row in rows]
    failed = Counter(
        finding.check
        for row in rows
        for finding in row.found.analysis.findings
        if not finding.passed
    )
    for row in rows:
        AnalysisForm.model_validate(row.found.analysis.form.model_dump())
    print(
        f"\n{len(rows)} of {len(rows)} valid; {len(right)} of {len(judged)} right; quality: median "
        f"{statistics.median(row.found.analysis.quality_score for row in rows):.2f}, "
        f"right ones {_mean(right):.2f}, others {_mean(wrong):.2f}; "
        f"{sum(row.found.repaired for row in rows)} asked twice; seconds: median "
        f"{statistics.median(seconds):.1f}, longest {max(seconds):.1f}; tokens out: median "
        f"{statistics.median(row.found.output_tokens for row in rows):.0f}"
    )
    print("Checks not passed: " + ", ".join(f"{check} {n}" for check, n in failed.most_common()))


def _mean(rows: Sequence[Row]) -> float:
    scores = [row.found.analysis.quality_score for row in rows]
    return statistics.fmean(scores) if scores else float("nan")


def _served(said: argparse.Namespace) -> AbstractContextManager[str]:
    """An engine of our own, as the stack has it."""
    return served(said.model, threads=said.threads, slots=4, nice=0)


def main() -> None:
    preset = Settings().models.analyse
    parser = argparse.ArgumentParser(prog="python -m bench.analysis", description=__doc__)
    parser.add_argument("--model", default=preset.model)
    parser.add_argument("--base-url", help="a server that runs already; else ours is started")
    parser.add_argument("--api-key", default="none")
    parser.add_argument("--split", choices=["dev", "test", "all"], default="all")
    parser.add_argument("--only", nargs="*", help="names of calls")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--input-chars", type=int)
    parser.add_argument("--at-once", type=int, metavar="N", help="compare; nothing is judged")
    said = parser.parse_args()
    options = AnalysisOptions.of(preset.options)
    if said.input_chars:
        options = replace(options, input_chars=said.input_chars)
    with nullcontext(said.base_url) if said.base_url else _served(said) as url:
        llm = LlmSettings(base_url=url, api_key=SecretStr(said.api_key))
        chat = OpenAiChat.load(
            preset.model_copy(update={"model": said.model}),
            where=said.model,
            device="cpu",
            threads=None,
            settings=Settings(llm=llm),
        )
        if said.at_once:
            found = [text for _, text, _ in conversations("all")]
            compare(chat, options, list(islice(cycle(found), said.at_once)))
            return
        print(f"{said.model}, prompt {ANALYSIS_PROMPT_VERSION}, {options}, {sys.platform}")
        rows = []
        for name, text, case in conversations(said.split):
            if not said.only or name in said.only:
                analysed = analyse(chat, text, options)
                rows.append(Row(name=name, found=analysed, verdict=verdict(case, analysed)))
                show(rows[-1], text)
        tell(rows)


if __name__ == "__main__":
    main()
