import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker
from typer.testing import Result

from callytics.db.engine import unit_of_work
from callytics.db.jobs import Jobs
from callytics.db.models import AnalysisBatch, Client
from callytics.domain.batching import BatchStatus
from callytics.domain.stages import Queue, StageStatus
from callytics.errors import ConversationEmptyError
from callytics.ports import Message
from callytics.queueing.app import make_celery
from callytics.queueing.broker import backlog
from callytics.services.batch_views import BatchView, ItemView
from callytics.services.batches import Consultation
from callytics.services.job_work import JobHint
from callytics.settings import Settings
from tests.integration.cli.conftest import Run
from tests.support.batches import BatchDesk
from tests.support.chat import ANALYSIS, ScriptedChat

BAD = "고객: 이 상담은 모델이 읽지 못합니다.\n상담사: 네, 확인해 보겠습니다. 내일 연락드리겠습니다."
WINDOW = timedelta(minutes=15)
GONE = "redis://127.0.0.1:9/0"


def fails_on_bad(messages: Sequence[Message], _: Mapping[str, Any] | None) -> str:
    if "읽지 못합니다" in messages[-1]["content"]:
        raise ConversationEmptyError("Not for this model.")
    return ANALYSIS


def desk_of(sessions: sessionmaker[Session], settings: Settings, client: str) -> BatchDesk:
    client_id = uuid4()
    with unit_of_work(sessions) as session:
        session.add(Client(id=client_id, name=client))
    return BatchDesk(sessions, settings, client_id)


@pytest.fixture
def desk(sessions: sessionmaker[Session], settings: Settings) -> BatchDesk:
    return desk_of(sessions, settings, "centerlink")


def ended(desk: BatchDesk, *, good: int = 2, bad: int = 1) -> str:
    """A batch that has ended; the next analyses succeed."""
    desk.chat = ScriptedChat(fails_on_bad)
    some = [Consultation(consultation_id=f"bad-{n}", conversation=BAD) for n in range(bad)]
    [name] = desk.submit([*desk.consultations(good), *some]).batches
    desk.age(WINDOW)
    desk.tick()
    desk.run()
    desk.chat = ScriptedChat()
    return name


@contextmanager
def working(desk: BatchDesk) -> Iterator[None]:
    """Workers of the medium model, who find what is queued in the rows."""
    over = Event()

    def work() -> None:
        while not over.wait(0.05):
            with unit_of_work(desk.sessions) as session:
                desk.sent += [JobHint.of(job) for job in Jobs(session).overdue(0.0, 100)]
            desk.run()

    thread = Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def parsed(result: Result, code: int = 0) -> dict[str, Any]:
    assert result.exit_code == code, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def rerun(run: Run, *arguments: str, code: int = 0, **variables: str) -> dict[str, Any]:
    return parsed(run("batches", "rerun", "--json", *arguments, **variables), code)


class TestList:
    def test_every_client_s_batches_newest_first(
        self, run: Run, desk: BatchDesk, sessions: sessionmaker[Session], settings: Settings
    ) -> None:
        other = desk_of(sessions, settings, "branch")
        first, [second] = ended(desk), other.submit(1).batches
        page = parsed(run("batches", "list", "--json"))

        assert [(one["batch_id"], one["client_id"]) for one in page["data"]] == [
            (second, "branch"),
            (first, "centerlink"),
        ]
        assert (page["object"], page["first_id"], page["last_id"], page["has_more"]) == (
            "list",
            second,
            first,
            False,
        )

    def test_a_batch_that_is_still_open_is_listed_for_a_person(
        self, run: Run, desk: BatchDesk
    ) -> None:
        [name] = desk.submit(1).batches
        result = run("batches", "list")
        assert result.exit_code == 0, result.stderr
        assert name in result.stdout

    def test_a_batch_is_shown_as_the_api_shows_it_and_a_little_more(
        self, run: Run, desk: BatchDesk
    ) -> None:
        ended(desk)
        [shown] = parsed(run("batches", "list", "--json"))["data"]

        assert shown.keys() >= BatchView.model_fields.keys()
        assert BatchView.model_validate(shown).status is BatchStatus.COMPLETED_WITH_ERRORS
        assert (shown["counts"]["done"], shown["counts"]["failed"]) == (2, 1)
        assert (shown["callback_status"], shown["run"]) == ("queued", 1)

    def test_by_state_client_and_time(
        self, run: Run, desk: BatchDesk, sessions: sessionmaker[Session], settings: Settings
    ) -> None:
        failed, mixed = ended(desk, good=0), ended(desk)
        [waiting] = desk_of(sessions, settings, "branch").submit(1).batches
        long_ago(sessions, failed)

        def found(*options: str) -> list[str]:
            page = parsed(run("batches", "list", "--json", *options))
            return [one["batch_id"] for one in page["data"]]

        assert found("--status", "failed", "--status", "completed_with_errors") == [mixed, failed]
        assert found("--since", "24h", "--client", "centerlink") == [mixed]
        assert found("--since", "7d", "--client", "centerlink") == [mixed, failed]
        assert found("--status", "queued") == [waiting]
        assert found("--status", "cancelled") == []

    def test_pages_follow_one_another(self, run: Run, desk: BatchDesk) -> None:
        older, newer = ended(desk), ended(desk)
        first = run("batches", "list", "--limit", "1")
        assert newer in first.stdout
        assert f"--after {newer}" in first.stderr
        second = run("batches", "list", "--after", newer)
        assert older in second.stdout
        assert second.stderr == ""

    def test_for_a_person(self, run: Run, desk: BatchDesk) -> None:
        name = ended(desk)
        header, line = run("batches", "list").stdout.splitlines()
        assert header.split()[:6] == ["batch", "client", "status", "done", "failed", "of"]
        assert line.split()[:7] == [
            name,
            "centerlink",
            "completed_with_errors",
            *("2", "1", "3", "1"),
        ]

    def test_an_unknown_client_or_batch_is_not_found(self, run: Run, desk: BatchDesk) -> None:
        assert run("batches", "list", "--client", "nobody").exit_code == 4
        assert run("batches", "list", "--after", "BATCH-20250913-001").exit_code == 4
        assert run("batches", "list", "--since", "yesterday").exit_code == 2


class TestShow:
    def test_runs_say_what_they_were_done_with_and_what_they_took(
        self, run: Run, desk: BatchDesk
    ) -> None:
        name = ended(desk)
        with working(desk):
            rerun(run, name, "--model", "better", "--wait")
        shown = parsed(run("batches", "show", name, "--json"))
        first, second = shown["runs"]

        assert (first["consultations"], first["done"], first["failed"]) == (3, 2, 1)
        assert (second["model"], second["consultations"], second["done"]) == ("better", 1, 1)
        assert second["failed"] == 0
        for one in (first, second):
            assert min(one["prompt_tokens"], one["output_tokens"]) > 0
            assert one["cost_usd"] == 0.25 * one["prompt_tokens"] / 10
        assert second["providers"] == ["vllm"]
        assert (second["revisions"], second["prompt_version"]) == (["1"], first["prompt_version"])
        assert [told["run"] for told in shown["deliveries"]] == [1, 2]
        assert shown["deliveries"][1]["supersedes"] == shown["deliveries"][0]["delivery_id"]
        assert (shown["status"], shown["failures"]) == ("completed", [])

    def test_what_failed_is_named_with_its_reason(self, run: Run, desk: BatchDesk) -> None:
        name = ended(desk)
        [failed] = parsed(run("batches", "show", name, "--json"))["failures"]
        assert (failed["consultation_id"], failed["result_run"]) == ("bad-0", None)
        assert failed["error"] == {"code": "conversation_empty", "detail": "Not for this model."}

    def test_an_earlier_result_that_stands_is_named(self, run: Run, desk: BatchDesk) -> None:
        name = ended(desk, bad=0)
        desk.chat = ScriptedChat(lambda *_: (_ for _ in ()).throw(ConversationEmptyError))
        with working(desk):
            rerun(run, name, "--all", "--wait", code=8)
        shown = parsed(run("batches", "show", name, "--json"))
        assert [failed["result_run"] for failed in shown["failures"]] == [1, 1]
        assert shown["status"] == "completed"

    def test_results_are_shown_when_asked_for_and_conversations_never(
        self, run: Run, desk: BatchDesk
    ) -> None:
        name = ended(desk)
        plain = run("batches", "show", name)
        full = run("batches", "show", name, "--items")
        as_json = run("batches", "show", name, "--items", "--json")
        items = parsed(as_json)["items"]

        assert "안내 문자 발송" not in plain.stdout
        assert "안내 문자 발송" in full.stdout
        assert [ItemView.model_validate(item).consultation_id for item in items][-1] == "bad-0"
        assert items[0]["summary"]["result"] == "안내 문자 발송"
        assert items[2]["error"]["code"] == "conversation_empty"
        for result in (plain, full, as_json):
            assert "확인 부탁드려요" not in result.output
            assert "읽지 못합니다" not in result.output

    def test_for_a_person(self, run: Run, desk: BatchDesk) -> None:
        name = ended(desk)
        text = run("batches", "show", name).stdout
        for said in (name, "3: 2 done, 1 failed", "bad-0", "conversation_empty"):
            assert said in text

    def test_another_client_s_batch_is_not_found(
        self, run: Run, desk: BatchDesk, sessions: sessionmaker[Session], settings: Settings
    ) -> None:
        desk_of(sessions, settings, "branch")
        name = ended(desk)
        result = run("batches", "show", name, "--client", "branch")
        assert (result.exit_code, result.stdout) == (4, "")
        assert "(batch_not_found)" in result.stderr
        assert run("batches", "show", name, "--client", "centerlink").exit_code == 0


class TestRerun:
    def test_what_failed_is_queued_again_and_workers_are_told(
        self, run: Run, desk: BatchDesk, settings: Settings
    ) -> None:
        name = ended(desk)
        answer = rerun(run, name)

        assert answer == {
            "dry_run": False,
            "consultations": 1,
            "batches": [
                {
                    "batch_id": name,
                    "client_id": "centerlink",
                    "run": 2,
                    "consultations": 1,
                    "kept": 2,
                    "status": "queued",
                    "done": None,
                    "failed": None,
                }
            ],
        }
        messages = backlog(make_celery(settings))
        assert messages is not None
        assert (messages[Queue.MLM], desk.batch(name).run_no) == (1, 2)

    def test_a_broker_that_is_away_is_said_and_loses_nothing(
        self, run: Run, desk: BatchDesk
    ) -> None:
        name = ended(desk)
        result = run("batches", "rerun", name, REDIS_URL=GONE)
        assert result.exit_code == 0
        assert result.stderr == (
            "The broker does not answer. Nothing is lost: the sweeper tells the workers.\n"
        )
        assert [item.job.status for item in desk.items(name)].count(StageStatus.QUEUED) == 1

    def test_wait_shows_the_way_and_ends_with_0_where_all_succeeded(
        self, run: Run, desk: BatchDesk
    ) -> None:
        name = ended(desk)
        with working(desk):
            result = run("batches", "rerun", name, "--wait")
        assert result.exit_code == 0
        assert "No worker takes from the queue mlm now" in result.stderr
        assert "1 of 1 consultations" in result.stderr
        assert f"{name}: completed, 1 done, 0 failed" in result.stderr
        assert result.stdout.splitlines()[1].split() == [
            name,
            "centerlink",
            *("2", "1", "2", "completed", "1", "0"),
        ]

    def test_what_fails_again_ends_with_8(self, run: Run, desk: BatchDesk) -> None:
        name = ended(desk)
        desk.chat = ScriptedChat(fails_on_bad)
        with working(desk):
            answer = rerun(run, name, "--wait", code=8)
        [one] = answer["batches"]
        assert (one["status"], one["done"], one["failed"]) == ("completed_with_errors", 0, 1)

    def test_everything_may_be_run_again_with_another_model(
        self, run: Run, desk: BatchDesk
    ) -> None:
        name = ended(desk)
        [one] = rerun(run, name, "--all", "--model", "better")["batches"]
        assert (one["consultations"], one["kept"]) == (3, 0)
        assert desk.batch(name).runs[1].model == "better"

    def test_a_dry_run_asks_nothing_and_changes_nothing(self, run: Run, desk: BatchDesk) -> None:
        names = [ended(desk), ended(desk, good=0, bad=20)]
        answer = rerun(run, "--all-failed", "--since", "24h", "--dry-run")
        assert (answer["dry_run"], answer["consultations"]) == (True, 21)
        assert [one["batch_id"] for one in answer["batches"]] == names
        assert {one["status"] for one in answer["batches"]} == {None}
        assert [desk.batch(name).run_no for name in names] == [1, 1]

    def test_all_that_failed_lately_of_one_client(
        self, run: Run, desk: BatchDesk, sessions: sessionmaker[Session], settings: Settings
    ) -> None:
        old, new, good = ended(desk), ended(desk), ended(desk, bad=0)
        other = ended(desk_of(sessions, settings, "branch"))
        long_ago(sessions, old)
        rerun(run, "--all-failed", "--since", "24h", "--client", "centerlink", "--yes")
        runs = {name: desk.batch(name).run_no for name in (old, new, good, other)}
        assert runs == {old: 1, new: 2, good: 1, other: 1}

    def test_many_batches_wait_for_together(self, run: Run, desk: BatchDesk) -> None:
        names = [ended(desk) for _ in range(3)]
        with working(desk):
            answer = rerun(run, "--all-failed", "--since", "1h", "--yes", "--wait")
        assert [one["batch_id"] for one in answer["batches"]] == names
        assert {one["status"] for one in answer["batches"]} == {"completed"}

    @pytest.mark.parametrize("shape", ["two batches", "many consultations"])
    def test_much_is_not_begun_where_nobody_can_be_asked(
        self, run: Run, desk: BatchDesk, sessions: sessionmaker[Session], shape: str
    ) -> None:
        if shape == "two batches":
            names = [ended(desk), ended(desk)]
        else:
            big = desk.settings.batch.model_copy(update={"size": 21})
            desk.settings = desk.settings.model_copy(update={"batch": big})
            names = [ended(desk, good=0, bad=21)]
        result = run("batches", "rerun", *names)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "give --yes" in result.stderr
        assert [desk.batch(name).run_no for name in names] == [1] * len(names)
        assert run("batches", "rerun", *names, "--yes").exit_code == 0
        assert [desk.batch(name).run_no for name in names] == [2] * len(names)

    def test_twenty_consultations_of_one_batch_are_begun_unasked(
        self, run: Run, desk: BatchDesk
    ) -> None:
        assert rerun(run, ended(desk, good=0, bad=20))["consultations"] == 20

    @pytest.mark.parametrize(("said", "code", "run_no"), [("y", 0, 2), ("n", 1, 1)])
    def test_a_person_is_asked(
        self, desk: BatchDesk, environment: dict[str, str], said: str, code: int, run_no: int
    ) -> None:
        names = [ended(desk), ended(desk)]
        person, terminal = pty.openpty()
        os.write(person, f"{said}\n".encode())
        done = subprocess.run(
            [sys.executable, "-m", "callytics.cli", "batches", "rerun", *names],
            env=environment,
            stdin=terminal,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        os.close(person)
        os.close(terminal)
        assert done.returncode == code, done.stderr
        assert "Run 2 consultations of 2 batches again? [y/N]" in done.stderr
        assert [desk.batch(name).run_no for name in names] == [run_no] * 2

    def test_nothing_to_run_again_ends_with_7(self, run: Run, desk: BatchDesk) -> None:
        name = ended(desk, bad=0)
        result = run("batches", "rerun", name)
        assert (result.exit_code, result.stdout) == (7, "")
        assert "(nothing_to_rerun)" in result.stderr
        answer = rerun(run, "--all-failed", "--since", "24h", code=7)
        assert answer == {"dry_run": False, "consultations": 0, "batches": []}

    def test_an_unknown_batch_is_not_found_and_nothing_else_is_begun(
        self, run: Run, desk: BatchDesk
    ) -> None:
        name = ended(desk)
        result = run("batches", "rerun", name, "BATCH-20250913-001", "--yes")
        assert result.exit_code == 4
        assert desk.batch(name).run_no == 1

    def test_a_batch_that_runs_is_refused(self, run: Run, desk: BatchDesk) -> None:
        [name] = desk.submit(1).batches
        result = run("batches", "rerun", name)
        assert result.exit_code == 1
        assert "(batch_running)" in result.stderr

    @pytest.mark.parametrize(
        "arguments",
        [
            (),
            ("BATCH-20250913-001", "--all-failed", "--since", "1h"),
            ("--all-failed",),
            ("BATCH-20250913-001", "--since", "1h"),
            ("--all-failed", "--since", "0h"),
        ],
    )
    def test_wrong_usage_ends_with_2(self, run: Run, arguments: tuple[str, ...]) -> None:
        assert run("batches", "rerun", *arguments).exit_code == 2

    def test_without_a_database_it_ends_with_6(self, run: Run) -> None:
        gone = "postgresql+psycopg://u:p@127.0.0.1:9/x"
        assert run("batches", "rerun", "BATCH-1", DATABASE_URL=gone).exit_code == 6

    def test_ctrl_c_ends_the_waiting_and_not_the_run(
        self, desk: BatchDesk, environment: dict[str, str]
    ) -> None:
        name = ended(desk)
        with waiting_for(name, environment) as process:
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
        assert desk.batch(name).status is BatchStatus.QUEUED
        assert desk.batch(name).run_no == 2


class TestCancel:
    def test_what_waits_is_not_begun(self, run: Run, desk: BatchDesk) -> None:
        [name] = desk.submit(3).batches
        shown = parsed(run("batches", "cancel", name, "--yes", "--json"))
        assert (shown["status"], shown["counts"]["cancelled"]) == ("cancelled", 3)
        again = run("batches", "cancel", name, "--yes")
        assert again.exit_code == 1
        assert "(batch_finished)" in again.stderr

    def test_it_is_not_done_where_nobody_can_be_asked(self, run: Run, desk: BatchDesk) -> None:
        [name] = desk.submit(3).batches
        assert run("batches", "cancel", name).exit_code == 2
        assert desk.batch(name).status is BatchStatus.QUEUED

    def test_an_unknown_batch_is_not_found(self, run: Run) -> None:
        assert run("batches", "cancel", "BATCH-20250913-001", "--yes").exit_code == 4

    def test_a_run_that_is_cancelled_while_it_is_waited_for_ends_with_8(
        self, run: Run, desk: BatchDesk, environment: dict[str, str]
    ) -> None:
        name = ended(desk)
        with waiting_for(name, environment) as process:
            assert run("batches", "cancel", name, "--yes").exit_code == 0
            assert process.wait(60) == 8


@contextmanager
def waiting_for(name: str, environment: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """`rerun --wait` as a process, which has begun the run and waits for it."""
    command = [sys.executable, "-m", "callytics.cli", "batches", "rerun", name, "--wait"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert "No worker" in process.stderr.readline()
        yield process


def long_ago(sessions: sessionmaker[Session], name: str) -> None:
    """As if the batch had ended two days ago."""
    ago = timedelta(days=2)
    with unit_of_work(sessions) as session:
        session.execute(
            update(AnalysisBatch)
            .where(AnalysisBatch.name == name)
            .values(
                created_at=AnalysisBatch.created_at - ago,
                closes_at=AnalysisBatch.closes_at - ago,
                closed_at=AnalysisBatch.closed_at - ago,
                completed_at=AnalysisBatch.completed_at - ago,
            )
        )
