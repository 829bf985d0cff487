"""Whatever is kept of a conversation is found and taken, by age and by name, cut short or not."""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Barrier, Thread
from typing import Any, TypeVar
from uuid import UUID

import pytest
from pydantic import ValidationError
from sqlalchemy import Engine, func, select, text, update
from sqlalchemy.orm import Session, sessionmaker, undefer

from callytics.adapters.audio_store import ObjectAudioStore
from callytics.db import purgeable
from callytics.db.batches import Batches
from callytics.db.engine import unit_of_work
from callytics.db.models import (
    AudioPurge,
    BatchFile,
    Call,
    Delivery,
    DeliveryAttempt,
    IdempotencyKey,
    Job,
    Purge,
    StageRun,
)
from callytics.db.personal import PERSONAL
from callytics.db.retention import Retention
from callytics.domain.job import JobStatus
from callytics.domain.retention import Scope
from callytics.domain.stages import Stage, StageStatus
from callytics.errors import (
    CallPurgedError,
    ConsultationPurgedError,
    InvalidRequestError,
    NothingToRerunError,
)
from callytics.ports import CallbackAnswer, Message, call_folder
from callytics.services import batches, calls, purge, purge_plans
from callytics.services.batches import Consultation, Placed, Rerun, settle
from callytics.services.upkeep import tidy
from callytics.settings import RetentionSettings, Settings
from tests.support.batches import BatchDesk, insert_client
from tests.support.chat import CONVERSATION, usual
from tests.support.deliveries import Deliverer, answer
from tests.support.kept import OTHER, columns_saying, keep
from tests.support.waiting import wait_until

Sessions = sessionmaker[Session]
T = TypeVar("T")

WORD = "CL-4711"
YEAR = timedelta(days=365)
EVERYTHING = {(table, column) for table, columns in PERSONAL.items() for column in columns}
FLEETING = {
    ("idempotency_keys", "key"),
    ("idempotency_keys", "answer"),
    ("sentiment_requests", "texts"),
    ("sentiment_requests", "judgements"),
}
"""Gone by themselves, after a day and a minute."""
NOT_LINKED = {
    ("analysis_batches", "metadata"),
    ("batch_files", "filename"),
    ("diagnoses", "text"),
    ("diagnoses", "image"),
    ("diagnoses", "result"),
    ("sentiment_requests", "texts"),
    ("sentiment_requests", "judgements"),
}
"""Rows that name no consultation."""


@pytest.fixture
def store(tmp_path: Path) -> ObjectAudioStore:
    return ObjectAudioStore((tmp_path / "audio").as_uri())


def heard(store: ObjectAudioStore, call_id: UUID) -> bool:
    return bool(store.keys(call_folder(call_id)))


def record(store: ObjectAudioStore, call_id: UUID) -> None:
    store.write(f"{call_folder(call_id)}/original", [b"RIFF"])


def by_age(
    sessions: Sessions, store: ObjectAudioStore, scope: Scope = Scope.ALL, days: float = 90
) -> dict[str, int]:
    with unit_of_work(sessions) as session:
        plan = purge_plans.by_age(session, scope, timedelta(days=days))
    return dict(purge.run(sessions, store, plan, actor="test"))


def by_name(
    sessions: Sessions, store: ObjectAudioStore, scope: Scope = Scope.ALL, name: str = WORD
) -> dict[str, int]:
    return dict(purge.run(sessions, store, purge_plans.by_consultation(scope, name), actor="test"))


def one(sessions: Sessions, table: type[T], row_id: object) -> T:
    with unit_of_work(sessions) as session:
        return session.get_one(table, row_id)


def test_the_sample_says_something_in_every_personal_column(
    sessions: Sessions, engine: Engine
) -> None:
    keep(sessions, WORD)
    assert columns_saying(engine, WORD) == EVERYTHING


def test_by_age_nothing_is_left_of_what_was_said(
    sessions: Sessions, engine: Engine, store: ObjectAudioStore, settings: Settings
) -> None:
    call_id = keep(sessions, WORD, age=YEAR)
    record(store, call_id)
    assert by_age(sessions, store) == {
        "calls": 1,
        "batches": 1,
        "quick_summaries": 1,
        "diagnoses": 1,
        "conversations": 1,
        "batch_files": 1,
    }
    assert columns_saying(engine, WORD) == FLEETING
    assert not heard(store, call_id)
    with unit_of_work(sessions) as session:
        assert session.scalars(select(Job)).all() == []
        session.execute(IDEMPOTENCY_YEAR_OLD)
    tidy(sessions, store, settings)
    assert columns_saying(engine, WORD) == set()


IDEMPOTENCY_YEAR_OLD = update(IdempotencyKey).values(created_at=IdempotencyKey.created_at - YEAR)


def test_what_is_younger_stays(sessions: Sessions, engine: Engine, store: ObjectAudioStore) -> None:
    record(store, call_id := keep(sessions, WORD, age=timedelta(days=80)))
    assert by_age(sessions, store) == {}
    assert columns_saying(engine, WORD) == EVERYTHING
    assert heard(store, call_id)


def test_what_has_not_ended_stays_and_is_named(
    sessions: Sessions, store: ObjectAudioStore, engine: Engine
) -> None:
    call_id = keep(sessions, WORD, age=YEAR, status=StageStatus.RUNNING)
    with unit_of_work(sessions) as session:
        plan = purge_plans.by_age(session, Scope.ALL, timedelta(days=90))
        assert purge.busy(session, plan, 10) == [call_id]
        assert purge.count(session, plan) == {"conversations": 1, "batch_files": 1}
    by_age(sessions, store)
    left = {table for table, _ in columns_saying(engine, WORD)}
    assert {"calls", "turns", "deliveries", "analysis_items", "quick_summaries"} <= left


def test_an_ended_call_whose_callback_still_waits_is_left_alone(
    sessions: Sessions, store: ObjectAudioStore
) -> None:
    call_id = keep(sessions, WORD, age=YEAR)
    with unit_of_work(sessions) as session:
        told = session.scalars(select(Delivery.id).where(Delivery.call_id == call_id)).one()
        session.get_one(Job, told).status = StageStatus.QUEUED
    assert "calls" not in by_age(sessions, store)
    assert one(sessions, Call, call_id).status is JobStatus.COMPLETED


def test_audio_alone_leaves_what_was_found_in_it(
    sessions: Sessions, engine: Engine, store: ObjectAudioStore
) -> None:
    record(store, call_id := keep(sessions, WORD, age=YEAR))
    assert by_age(sessions, store, Scope.AUDIO) == {"calls": 1}
    assert not heard(store, call_id)
    assert columns_saying(engine, WORD) == EVERYTHING - {("calls", "audio_url")}
    call = one(sessions, Call, call_id)
    assert call.audio_purged_at is not None
    with unit_of_work(sessions) as session, pytest.raises(CallPurgedError):
        calls.rerun(session, call.client_id, call_id, Stage.PREPROCESS)
    assert by_age(sessions, store, Scope.AUDIO) == {}


def test_text_alone_leaves_the_recording_and_figures(
    sessions: Sessions, engine: Engine, store: ObjectAudioStore
) -> None:
    record(store, call_id := keep(sessions, WORD, age=YEAR))
    assert by_age(sessions, store, Scope.TEXT)["calls"] == 1
    assert heard(store, call_id)
    kept = {("calls", "consultation_id"), ("calls", "audio_url")}
    assert columns_saying(engine, WORD) == FLEETING | kept
    call = one(sessions, Call, call_id)
    assert (call.sentiment, call.audio_bytes) == ({"label": "neutral", "score": 0.5}, 10)
    assert one(sessions, StageRun, (call_id, Stage.PREPROCESS)).status is StageStatus.DONE
    with unit_of_work(sessions) as session, pytest.raises(CallPurgedError):
        calls.rerun(session, call.client_id, call_id, Stage.PREPROCESS)


@pytest.mark.parametrize("status", [StageStatus.DONE, StageStatus.RUNNING])
def test_of_a_consultation_nothing_is_left_that_names_it(
    sessions: Sessions, engine: Engine, store: ObjectAudioStore, status: StageStatus
) -> None:
    record(store, call_id := keep(sessions, WORD, status=status))
    taken = by_name(sessions, store)
    assert set(taken.values()) == {1}
    assert columns_saying(engine, WORD) == NOT_LINKED
    assert not heard(store, call_id)
    assert by_name(sessions, store) == {}


def test_other_consultations_of_the_batch_and_the_file_stay_as_they_are(
    sessions: Sessions, engine: Engine, store: ObjectAudioStore
) -> None:
    keep(sessions, WORD)
    before = columns_saying(engine, OTHER)
    by_name(sessions, store)
    assert columns_saying(engine, OTHER) == before
    with unit_of_work(sessions) as session:
        content = session.scalars(select(BatchFile).options(undefer(BatchFile.content))).one()
        assert content.content == f'{{"custom_id": "{OTHER}"}}'
        assert content.size == len(content.content)


def test_a_clients_own_consultation_alone(sessions: Sessions, store: ObjectAudioStore) -> None:
    mine, theirs = keep(sessions, WORD), keep(sessions, WORD)
    owner = one(sessions, Call, mine).client_id
    plan = purge_plans.by_consultation(Scope.ALL, WORD, owner)
    assert purge.run(sessions, store, plan, actor="test")["calls"] == 1
    with unit_of_work(sessions) as session:
        assert session.scalars(select(Call.id)).all() == [theirs]


@pytest.mark.parametrize("scope", [Scope.AUDIO, Scope.TEXT])
def test_a_running_call_is_called_off_before_a_part_of_it_goes(
    sessions: Sessions, store: ObjectAudioStore, scope: Scope
) -> None:
    record(store, call_id := keep(sessions, WORD, status=StageStatus.RUNNING))
    assert by_name(sessions, store, scope)["calls"] == 1
    assert one(sessions, Call, call_id).status is JobStatus.CANCELLED
    assert heard(store, call_id) is (scope is Scope.TEXT)


@pytest.mark.parametrize("name", ["", " \n"])
def test_an_empty_id_is_refused_since_it_stands_everywhere(name: str) -> None:
    with pytest.raises(InvalidRequestError, match="empty"):
        purge_plans.by_consultation(Scope.ALL, name)


class TestFiles:
    def add(self, sessions: Sessions, client_id: UUID, *contents: str) -> None:
        """In the order of their ids."""
        with unit_of_work(sessions) as session:
            session.add_all(
                BatchFile(
                    id=UUID(int=n),
                    client_id=client_id,
                    filename="f",
                    size=1,
                    content=content,
                    created_at=func.clock_timestamp(),
                )
                for n, content in enumerate(contents, 1)
            )

    def contents(self, sessions: Sessions) -> Sequence[str]:
        with unit_of_work(sessions) as session:
            return session.scalars(select(BatchFile.content).order_by(BatchFile.id)).all()

    @pytest.mark.parametrize(
        ("name", "written"), [("2025/09/13-7", r"2025\/09\/13-7"), ("상담-7", r"\uc0c1\ub2f4-7")]
    )
    def test_an_escaped_id_is_found(
        self, sessions: Sessions, store: ObjectAudioStore, name: str, written: str
    ) -> None:
        kept = r'{"custom_id": "a\/b"}'
        line = f'{{"custom_id": "{written}"}}'
        self.add(sessions, insert_client(sessions), f"{line}\n{kept}")
        assert by_name(sessions, store, name=name) == {"batch_files": 1}
        assert self.contents(sessions) == [kept]

    def test_what_only_looks_like_it_hides_nothing_and_is_not_counted(
        self, sessions: Sessions, store: ObjectAudioStore
    ) -> None:
        alike = ['{"custom_id": "CL-47110"}', r'{"custom_id": "a\/b"}']
        self.add(
            sessions, insert_client(sessions), *alike, f'{{"custom_id": "{WORD}"}}', *alike[:1]
        )
        plan = purge_plans.by_consultation(Scope.ALL, WORD)
        with unit_of_work(sessions) as session:
            assert purge.count(session, plan) == {"batch_files": 1}
        assert purge.run(sessions, store, plan, actor="test", limit=1) == {"batch_files": 1}
        assert self.contents(sessions) == [*alike, alike[0]]


def test_a_key_goes_where_the_id_stands_in_it_by_itself(
    sessions: Sessions, store: ObjectAudioStore
) -> None:
    own = {"CL-1", "CL-1-upload", "send_CL-1.", "CL-1|CL-10"}
    others = {"CL-10", "CL-1999-upload", "send-CL-1가", "XCL-1"}
    with unit_of_work(sessions) as session:
        session.add_all(
            IdempotencyKey(client_id=client_id, key=key, request_hash="0")
            for client_id in [insert_client(sessions), insert_client(sessions)]
            for key in own | others
        )
    plan = purge_plans.by_consultation(Scope.ALL, "CL-1")
    with unit_of_work(sessions) as session:
        assert purge.count(session, plan) == {"idempotency_keys": 8}
    assert purge.run(sessions, store, plan, actor="test") == {"idempotency_keys": 8}
    with unit_of_work(sessions) as session:
        assert set(session.scalars(select(IdempotencyKey.key))) == others
        assert session.scalars(select(Purge.counts)).one() == {"idempotency_keys": 8}


class TestBatches:
    @pytest.fixture
    def deliverer(self, sessions: Sessions, settings: Settings) -> Deliverer:
        return Deliverer.make(sessions, settings)

    @pytest.fixture
    def desk(self, sessions: Sessions, settings: Settings, deliverer: Deliverer) -> BatchDesk:
        return BatchDesk(sessions, settings, deliverer.client_id)

    def body(self, desk: BatchDesk) -> bytes:
        with unit_of_work(desk.sessions) as session:
            return session.scalars(select(Delivery).options(undefer(Delivery.body))).one().body

    def test_a_callback_that_still_waits_loses_the_consultation_and_keeps_its_id(
        self, desk: BatchDesk, store: ObjectAudioStore
    ) -> None:
        desk.submit(20)
        desk.run()
        [waiting] = desk.deliveries()
        assert b"CL-0003" in self.body(desk)
        assert by_name(desk.sessions, store, name="CL-0003") == {"batches": 1}
        assert b"CL-0003" not in self.body(desk)
        assert b"CL-0004" in self.body(desk)
        assert [one.id for one in desk.deliveries()] == [waiting.id]
        assert one(desk.sessions, Job, waiting.id).status is StageStatus.QUEUED

    def test_an_analysis_in_work_is_called_off_and_its_batch_ends_without_it(
        self, desk: BatchDesk, store: ObjectAudioStore
    ) -> None:
        desk.submit(20)
        [batch] = desk.batches()

        def purged_meanwhile(messages: Sequence[Message], schema: Any) -> str:
            by_name(desk.sessions, store, name="CL-0000")
            return usual(messages, schema)

        desk.chat.answer = purged_meanwhile
        desk.run()
        settle(desk.sessions, batch.id)
        first, *others = desk.items(batch.name)
        assert first.job.status is StageStatus.FAILED
        assert first.results[0].problem == ConsultationPurgedError().as_problem()
        assert {item.job.status for item in others} == {StageStatus.DONE}
        assert b"CL-0000" not in self.body(desk)

    def purged_while_open(self, desk: BatchDesk, store: ObjectAudioStore, *names: str) -> str:
        """The name of a batch of two, of which these were purged before it closed."""
        [batch] = desk.submit(2).batches
        for name in names:
            by_name(desk.sessions, store, name=name)
        desk.age(timedelta(minutes=15))
        desk.tick()
        return batch

    def test_a_purged_place_is_not_queued_when_its_batch_closes(
        self, desk: BatchDesk, store: ObjectAudioStore
    ) -> None:
        batch = self.purged_while_open(desk, store, "CL-0000")
        assert len(desk.run()) == 1
        [run] = desk.batch(batch).runs
        assert run.items == 1
        told = json.loads(self.body(desk))
        assert [one["consultation_id"] for one in told["results"]] == ["CL-0001"]
        assert [one["error"]["code"] for one in told["errors"]] == ["consultation_purged"]

    def test_a_batch_of_which_nothing_is_left_ends_when_it_closes(
        self, desk: BatchDesk, store: ObjectAudioStore
    ) -> None:
        batch = self.purged_while_open(desk, store, "CL-0000", "CL-0001")
        assert desk.run() == []
        assert desk.batch(batch).completed_at is not None

    def test_a_purged_place_is_not_run_again(
        self, desk: BatchDesk, store: ObjectAudioStore
    ) -> None:
        batch = self.purged_while_open(desk, store, "CL-0000")
        desk.run()

        def rerun(wanted: Rerun) -> int:
            with unit_of_work(desk.sessions) as session:
                return batches.rerun(session, None, batch, wanted, desk.settings).items

        with pytest.raises(NothingToRerunError):
            rerun(Rerun())
        assert rerun(Rerun(everything=True)) == 1
        purged, other = desk.items(batch)
        assert purged.job.problem == ConsultationPurgedError().as_problem()
        assert (purged.job.status, other.job.status) == (StageStatus.FAILED, StageStatus.QUEUED)

    def test_a_job_that_was_done_ended_when_it_did(
        self, desk: BatchDesk, store: ObjectAudioStore
    ) -> None:
        [batch] = desk.submit(20).batches
        desk.run()
        done = desk.items(batch)[0].job
        by_name(desk.sessions, store, name="CL-0000")
        purged = desk.items(batch)[0].job
        assert (done.status, purged.status) == (StageStatus.DONE, StageStatus.FAILED)
        assert done.finished_at == purged.finished_at

    def test_what_an_endpoint_answers_to_what_was_purged_meanwhile_is_not_kept(
        self, desk: BatchDesk, deliverer: Deliverer, store: ObjectAudioStore, engine: Engine
    ) -> None:
        desk.submit(20)
        desk.run()
        [waiting] = desk.deliveries()

        class Echo:
            def post(
                self,
                url: str,
                *,
                headers: Mapping[str, str],
                body: bytes,
            ) -> CallbackAnswer:
                if b"CL-0003" in body:
                    by_name(desk.sessions, store, name="CL-0003")
                return answer(503, body=body)

        deliverer.client = Echo()
        deliverer.run(waiting.id)
        assert columns_saying(engine, "CL-0003") == set()
        deliverer.pass_time(1)
        deliverer.run(waiting.id)
        with unit_of_work(desk.sessions) as session:
            query = select(DeliveryAttempt.answer).order_by(DeliveryAttempt.attempt)
            assert session.scalars(query).all() == [None, self.body(desk)]

    def test_a_consultation_that_is_sent_once_more_and_purged_stops_neither(
        self, desk: BatchDesk
    ) -> None:
        """Sent for its evidence too, which changes its row."""
        [batch] = desk.submit(1).batches
        known = Consultation(
            consultation_id="CL-0000", conversation=CONVERSATION, with_evidence=True
        )
        fresh = replace(known, consultation_id="CL-fresh")
        with ThreadPoolExecutor(1) as pool, unit_of_work(desk.sessions) as session:
            [row] = desk.batches()
            Batches(session).lock(row.id)
            sent = pool.submit(desk.submit, [known, fresh])
            wait_until(lambda: somebody_waits(desk.sessions))
            assert Retention(session).empty_item(row.id, "CL-0000")
            session.commit()
            placed: Placed = sent.result(30)
        assert placed.batches == {batch: 2}
        purged, *others = [item.consultation_id for item in desk.items(batch)]
        assert purged.startswith("purged-")
        assert others == ["CL-0000", "CL-fresh"]


def somebody_waits(sessions: Sessions) -> bool:
    with unit_of_work(sessions) as session:
        return bool(session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))


def test_a_purge_that_is_cut_short_goes_on_when_it_is_asked_for_again(
    sessions: Sessions, store: ObjectAudioStore
) -> None:
    ids = [keep(sessions, f"{WORD}-{n}", age=YEAR) for n in range(3)]
    for call_id in ids:
        record(store, call_id)
    with pytest.raises(KeyboardInterrupt):
        run_until(sessions, store, 2)
    with unit_of_work(sessions) as session:
        [cut] = session.scalars(select(Purge)).all()
        assert (cut.counts, cut.finished_at) == ({"calls": 2}, None)
        assert session.scalar(select(AudioPurge.prefix)) is not None
    assert by_age(sessions, store)["calls"] == 1
    assert not any(heard(store, call_id) for call_id in ids[:1] + ids[2:])


def run_until(sessions: Sessions, store: ObjectAudioStore, deletions: int) -> None:
    """Die in the very moment between a commit and its deletion in the store."""

    class Dying(ObjectAudioStore):
        left = deletions

        def delete_prefix(self, prefix: str) -> int:
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt
            return store.delete_prefix(prefix)

    by_age(sessions, Dying("memory:///"))


def test_two_purges_at_once_take_each_row_once(
    sessions: Sessions, engine: Engine, store: ObjectAudioStore
) -> None:
    for n in range(6):
        keep(sessions, f"{WORD}-{n}", age=YEAR)
    taken = at_once(lambda: by_age(sessions, store), lambda: by_age(sessions, store))
    assert sum(counts.get("calls", 0) for counts in taken) == 6
    assert sum(counts.get("batches", 0) for counts in taken) == 6
    assert columns_saying(engine, WORD) == FLEETING


def at_once(*acts: Callable[[], T]) -> list[T]:
    barrier, done = Barrier(len(acts)), []

    def run(act: Callable[[], T]) -> None:
        barrier.wait()
        done.append(act())

    threads = [Thread(target=run, args=[act]) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == len(acts)
    return done


def test_the_audit_line_says_who_when_and_how_many_and_never_whose(
    sessions: Sessions, engine: Engine, store: ObjectAudioStore
) -> None:
    keep(sessions, WORD)
    by_name(sessions, store)
    with unit_of_work(sessions) as session:
        [line] = session.scalars(select(Purge)).all()
    assert (line.actor, line.reason, line.scope) == ("test", "consultation", "all")
    assert line.counts["calls"] == 1
    assert line.finished_at is not None
    assert not {column for table, column in columns_saying(engine, WORD) if table == "purges"}


class TestRetention:
    def retain(self, sessions: Sessions, store: ObjectAudioStore, **days: float | None) -> None:
        purge.retain(sessions, store, RetentionSettings(**days))

    def test_nothing_is_set_so_nothing_goes(
        self, sessions: Sessions, store: ObjectAudioStore, engine: Engine
    ) -> None:
        keep(sessions, WORD, age=YEAR)
        self.retain(sessions, store)
        assert columns_saying(engine, WORD) == EVERYTHING

    def test_recordings_go_first_and_the_row_with_the_last_of_the_two(
        self, sessions: Sessions, store: ObjectAudioStore
    ) -> None:
        record(store, call_id := keep(sessions, WORD, age=timedelta(days=40)))
        self.retain(sessions, store, audio_days=30, text_days=90)
        call = one(sessions, Call, call_id)
        assert call.audio_purged_at is not None
        assert call.text_purged_at is None
        self.retain(sessions, store, audio_days=30, text_days=39)
        with unit_of_work(sessions) as session:
            assert session.get(Call, call_id) is None

    def test_a_round_takes_no_more_than_its_limit(
        self, sessions: Sessions, store: ObjectAudioStore
    ) -> None:
        for n in range(3):
            keep(sessions, f"{WORD}-{n}", age=YEAR)
        with unit_of_work(sessions) as session:
            plan = purge_plans.by_age(session, Scope.AUDIO, timedelta(days=1))
        assert purge.run(sessions, store, plan, actor="test", limit=2) == {"calls": 2}
        assert purge.run(sessions, store, plan, actor="test", limit=2) == {"calls": 1}

    def test_the_oldest_goes_first_and_pages_leave_none_out(
        self, sessions: Sessions, store: ObjectAudioStore
    ) -> None:
        ages = (YEAR, 2 * YEAR, 2 * YEAR, YEAR)
        ids = [keep(sessions, f"{WORD}-{n}", age=age) for n, age in enumerate(ages)]
        with unit_of_work(sessions) as session:
            now = session.scalars(select(func.clock_timestamp())).one()
            session.execute(
                update(Call).where(Call.id.in_(ids[1:3])).values(created_at=now - 2 * YEAR)
            )
            query = purgeable.old_calls(Scope.AUDIO, now - timedelta(days=1))
            found, last = [], None
            while page := Retention(session).page(query, 1, after=last):
                [last] = page
                found.append(last.id)
            plan = purge_plans.by_age(session, Scope.AUDIO, timedelta(days=1))
        assert found == [*sorted(ids[1:3]), ids[0], ids[3]]
        purge.run(sessions, store, plan, actor="test", limit=2)
        gone = [one(sessions, Call, call_id).audio_purged_at is not None for call_id in ids]
        assert gone == [False, True, True, False]

    @pytest.mark.parametrize("days", [36_501, 1e300, float("inf"), float("nan"), 0])
    def test_days_that_reach_before_all_time_are_refused(self, days: float) -> None:
        with pytest.raises(ValidationError):
            RetentionSettings(audio_days=days)
        with pytest.raises(ValidationError):
            RetentionSettings(text_days=days)

    def test_upkeep_does_it(
        self, sessions: Sessions, store: ObjectAudioStore, settings: Settings
    ) -> None:
        record(store, call_id := keep(sessions, WORD, age=YEAR))
        wanted = settings.model_copy(update={"retention": RetentionSettings(audio_days=30)})
        tidy(sessions, store, wanted)
        assert not heard(store, call_id)
        with unit_of_work(sessions) as session:
            assert session.scalars(select(Purge.actor)).all() == ["retention"]
