"""What it saves to analyse a batch together: `python -m bench.batch [--items 20]`, with the stack up.

The conversations of bench/data/summary_calls.json go through the running stack as a batch, whose
consultations run together as far as the engine's slots go; then the same ones, one batch after the
other of one consultation each. The setting CALLYTICS_BATCH__WINDOW_S=1 lets the small batches close at once.

Each conversation begins with a line of its own, since the engine keeps what it has read. Before the
clock starts, every slot has read the fixed part of the prompt once.
"""

import argparse
import itertools
import json
import time
from collections.abc import Sequence
from datetime import datetime
from random import randrange
from typing import Any
from uuid import uuid4

from bench.quick_summary import text_of
from bench.summary import DATA, Case
from callytics.cli.api import connect
from callytics.services.analysis import AnalysisForm

BASE = "/api/v1/consultation"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.batch", description=__doc__)
    parser.add_argument("--items", type=int, default=20)
    number = parser.parse_args().items
    found = [Case.of(row) for row in json.loads(DATA.read_text("utf-8"))]
    cases = list(itertools.islice(itertools.cycle(found), number))
    with connect(None, None) as api:
        first_s, _items = analysed(api, cases[:SLOTS])
        print(f"{SLOTS} first, the prompt read    {first_s:6.1f} s", flush=True)
        together_s, items = analysed(api, cases)
        assert_valid(items)
        print(f"{number} together            {together_s:6.1f} s", flush=True)
        in_turn_s = 0.0
        for case in cases:
            took_s, one = analysed(api, [case])
            assert_valid(one)
            in_turn_s += took_s
            print(f"  {case.name:<34}{took_s:6.1f} s", flush=True)
    print(f"{number} together            {together_s:6.1f} s, all valid")
    print(f"{number} one after the other {in_turn_s:6.1f} s")
    print(f"together / in turn     {together_s / in_turn_s:.2f}")


SLOTS = 4
"""Of the local engine of the medium model."""


def analysed(api: Any, cases: Sequence[Case]) -> tuple[float, list[dict[str, Any]]]:
    """Seconds from the close of the batch to its end, and its items."""
    sent = [
        {
            "consultation_id": f"bench-{uuid4()}",
            "conversation_text": f"고객: 접수 번호 {randrange(10**5)}번이에요.\n{text_of(case)}",
        }
        for case in cases
    ]
    name = api.request("POST", f"{BASE}/batch-analysis", json={"consultations": sent})["batch_id"]
    while True:
        batch = api.request("GET", f"{BASE}/batches/{name}")
        if batch["completed_at"]:
            break
        time.sleep(0.5)
    [run] = batch["runs"]
    items = api.request("GET", f"{BASE}/batches/{name}/items", params={"limit": 100})["data"]
    return seconds(run["started_at"], run["completed_at"]), items


def seconds(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def assert_valid(items: Sequence[dict[str, Any]]) -> None:
    for item in items:
        assert item["status"] == "done", item["error"]
        AnalysisForm.model_validate(
            {name: item[name] for name in ("summary", "keywords", "titles")}
        )
        assert 0 < item["quality_score"] <= 1


if __name__ == "__main__":
    main()
