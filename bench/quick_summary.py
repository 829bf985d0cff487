"""How long an agent waits for a quick summary: `python -m bench.quick_summary overhead|shipped|load`.

- `overhead`: what HTTP, rows and the queue add, with a model that answers at once. Servers, API and worker
  are real processes of this measurement's own.
- `shipped`: through the running local stack (`callytics up`), the calls of bench/data/summary_calls.json
  that were not looked at while the prompt was written, one at a time: as a whole, and with the turns
  sent ahead; with the answers.
- `load`: through the running stack, requests at a steady rate, more with every step, until the 95th
  percentile of what is answered leaves the budget, and one step beyond.
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import sqlalchemy

from bench.orchestration import spread
from bench.stack import bare_stack
from bench.summary import DATA, Case
from callytics.cli.credentials import signer
from callytics.domain.transcript import Role
from callytics.settings import Settings, get_settings
from tests.support.chat import CONVERSATION
from tests.support.stack import spawn, wait_ready

PATH = "/api/v1/consultation"
LABELS = {Role.CUSTOMER: "고객", Role.AGENT: "상담사", Role.UNKNOWN: "화자"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    status: int
    seconds: float
    body: dict[str, Any]

    @property
    def in_time(self) -> bool:
        return self.status == httpx.codes.OK


class Desk:
    """An agent's screen."""

    def __init__(self, url: str, make_key: Callable[[], str]) -> None:
        self._http = httpx.Client(base_url=url, timeout=30, trust_env=False)
        self._make_key = make_key

    def ask(self, text: str | None, consultation_id: str, priority: str = "normal") -> Answer:
        body = {"consultation_id": consultation_id, "priority": priority}
        if text is not None:
            body["conversation_text"] = text
        started = time.perf_counter()
        response = self._post(f"{PATH}/quick-summary", body)
        seconds = time.perf_counter() - started
        return Answer(status=response.status_code, seconds=seconds, body=response.json())

    def say(self, consultation_id: str, role: Role, text: str) -> None:
        turns = [{"role": role.value, "text": text}]
        self._post(f"{PATH}/{consultation_id}/turns", {"turns": turns}).raise_for_status()

    def _post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        return self._http.post(path, json=body, headers={"X-Bound-Key": self._make_key()})


def text_of(case: Case) -> str:
    return "\n".join(f"{LABELS[line.role]}: {line.text}" for line in case.lines)


def cases() -> list[Case]:
    found = [Case.of(row) for row in json.loads(DATA.read_text("utf-8"))]
    return [case for case in found if case.split == "test"]


WHERE_IT_GOES = sqlalchemy.text("""
    SELECT extract(epoch FROM queued_at - received_at) * 1000 AS "to the row",
           extract(epoch FROM started_at - queued_at) * 1000 AS "row to claim",
           extract(epoch FROM finished_at - started_at) * 1000 AS "claim to record"
    FROM jobs JOIN quick_summaries USING (id) ORDER BY received_at
""")


# --- overhead ------------------------------------------------------------------------------------


def overhead(runs: int) -> None:
    with bare_stack() as stack, spawn("tests.support.worker", "slm") as worker:
        wait_ready(stack.sessions, worker)
        desk, taken = Desk(stack.url, stack.make_key), []
        for number in range(runs + 20):
            answer = desk.ask(f"{CONVERSATION}\n고객: 주문 번호는 {number}번이에요.", str(number))
            assert answer.in_time, answer
            assert not answer.body["cached"]
            taken.append(answer.seconds * 1000)
        print(f"from request to answer, model apart   {spread(taken[20:])}")
        with stack.sessions() as session:
            rows = session.execute(WHERE_IT_GOES).all()[20:]
        for name in ("to the row", "row to claim", "claim to record"):
            print(f"  {name:<36}{spread([float(row._mapping[name]) for row in rows])}")


# --- the shipped conversations -------------------------------------------------------------------


def shipped(desk: Desk, ways: Sequence[str]) -> None:
    """The engine keeps what it has read: start the stack anew before each measurement."""
    for name in ways:
        ask = WAYS[name]
        print(f"\n### {name}\n\n| call | s | source | verdict | summary |\n|---|---|---|---|---|")
        seconds, sources, right = [], [], 0
        for case in cases():
            answer = ask(desk, case)
            summary = answer.body.get("summary") or ""
            source = answer.body.get("source") or str(answer.status)
            verdict = case.verdict(summary)
            print(
                f"| {case.name} | {answer.seconds:.2f} | {source} | {verdict} | {summary} |",
                flush=True,
            )
            seconds.append(answer.seconds)
            sources.append(source)
            right += verdict == "right"
        in_time = sum(each <= get_settings().quick_summary.budget_s for each in seconds)
        print(
            f"\n{name}: {in_time} of {len(seconds)} in time, {sources.count('model')} passed the checks, "
            f"{right} right; {spread([1000 * each for each in seconds])}"
        )


def _ask_whole(desk: Desk, case: Case) -> Answer:
    # Blank lines of its own: an answer out of the cache says nothing of the model.
    nonce = "\n" * random.randrange(1, 10_000)
    answer = desk.ask(text_of(case) + nonce, f"bench-{uuid4()}")
    assert not answer.body.get("cached")
    time.sleep(REST_S)
    return answer


def _ask_ahead(desk: Desk, case: Case) -> Answer:
    """As it would be spoken, but no faster than it is read: the last turn is sent a second before."""
    consultation_id = f"bench-{uuid4()}"
    for line in case.lines:
        desk.say(consultation_id, line.role, line.text)
        time.sleep(max(1.0, len(line.text) / SPOKEN_PER_S))
    return desk.ask(None, consultation_id)


REST_S = 5.0
"""What did not make it is done by then."""

SPOKEN_PER_S = 20.0
"""Syllables and spaces in a second: about three times as quick as people speak, so that it ends."""

WAYS: Mapping[str, Callable[[Desk, Case], Answer]] = {"whole": _ask_whole, "ahead": _ask_ahead}


# --- load ----------------------------------------------------------------------------------------


def load(desk: Desk, seconds: float) -> None:
    """Each request asks about a conversation of its own."""
    texts = [text_of(case) for case in cases()]
    print(
        "| requests a minute | asked | in time | 202 | 429 | p50 s | p95 s | longest until told |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for per_minute in (6, 12, 18, 24, 30, 45, 60, 120):
        answers = list(_steady(desk, texts, per_minute, seconds))
        good = sorted(answer.seconds for answer in answers if answer.in_time)
        told = [answer.seconds for answer in answers if not answer.in_time]
        statuses = [answer.status for answer in answers]
        p95 = good[int(len(good) * 0.95)] if good else float("nan")
        median = statistics.median(good) if good else float("nan")
        print(
            f"| {per_minute} | {len(answers)} | {len(good)} | {statuses.count(202)} | "
            f"{statuses.count(429)} | {median:.2f} | {p95:.2f} | {max(told, default=0):.2f} |",
            flush=True,
        )
        if len(good) < len(answers) / 2:
            return
        time.sleep(10)  # what was put off is done


def _steady(
    desk: Desk, texts: Sequence[str], per_minute: float, seconds: float
) -> Iterator[Answer]:
    with ThreadPoolExecutor(64) as pool:
        asked = []
        for number in range(int(per_minute * seconds / 60)):
            text = f"{texts[number % len(texts)]}\n고객: 네, 감사합니다. {uuid4().hex[:6]}"
            asked.append(pool.submit(desk.ask, text, f"bench-{uuid4()}"))
            time.sleep(60 / per_minute)
        for one in asked:
            yield one.result()


@contextmanager
def running_stack() -> Iterator[Desk]:
    """The desk of the command line's own client at the stack that runs."""
    settings: Settings = get_settings()
    with signer(None) as make_key:
        yield Desk(settings.api.url, make_key)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.quick_summary", description=__doc__)
    parser.add_argument("what", choices=["overhead", "shipped", "load"])
    parser.add_argument("--runs", type=int, default=300, help="requests (overhead)")
    parser.add_argument("--way", choices=WAYS, action="append", help="(shipped; default: both)")
    parser.add_argument("--seconds", type=float, default=60, help="length of a step (load)")
    said = parser.parse_args()
    if said.what == "overhead":
        overhead(said.runs)
        return
    with running_stack() as desk:
        if said.what == "shipped":
            shipped(desk, said.way or list(WAYS))
        else:
            load(desk, said.seconds)


if __name__ == "__main__":
    main()
