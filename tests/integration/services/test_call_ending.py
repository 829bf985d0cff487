import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker, undefer

from callytics.db.batches import AnalysisItems
from callytics.db.calls import Calls
from callytics.db.engine import unit_of_work
from callytics.db.models import AnalysisBatch, AnalysisItem, Call, CallEnding, Delivery, Job
from callytics.domain.delivery import Event
from callytics.domain.job import JobStatus
from callytics.domain.jobs import JobKind
from callytics.domain.stages import Stage, StageStatus
from callytics.errors import NotAudioError
from callytics.services import batches, calls, upkeep
from callytics.services.batch_items import AnalysisWork
from callytics.services.call_ending import CallEndedWork
from callytics.services.call_result import CallResult
from callytics.services.stage import hint_for
from callytics.settings import PipelineSettings, Settings
from tests.support.calls import insert_call
from tests.support.chat import ScriptedChat
from tests.support.pipeline import Pipeline

URL = "https://centerlink.example/webhook/calls"


@pytest.fixture
def pipeline(sessions: sessionmaker[Session], settings: Settings) -> Pipeline:
    pipeline = Pipeline(sessions)
    pipeline.jobs[JobKind.CALL_ENDED] = CallEndedWork(settings)
    pipeline.jobs[JobKind.ANALYSIS] = AnalysisWork(ScriptedChat().named)
    return pipeline


def analysed(pipeline: Pipeline, **columns: Any) -> UUID:
    """A call that went through every stage."""
    call_id = insert_call(pipeline.sessions, **columns)
    with pipeline.sessions() as session:
        pipeline.send([hint_for(session.get_one(Call, call_id), Stage.PREPROCESS)])
    pipeline.run()
    return call_id


def deliveries(pipeline: Pipeline) -> list[Delivery]:
    with pipeline.sessions() as session:
        query = select(Delivery).options(undefer(Delivery.body)).order_by(Delivery.created_at)
        return list(session.scalars(query))


def result(pipeline: Pipeline, call_id: UUID) -> CallResult:
    with pipeline.sessions() as session:
        client_id = session.get_one(Call, call_id).client_id
        return CallResult.of(Calls(session).owned(client_id, call_id))


class TestCallback:
    def test_a_completed_call_is_told_with_its_result(self, pipeline: Pipeline) -> None:
        call_id = analysed(pipeline, callback_url=URL)

        [delivery] = deliveries(pipeline)
        assert (delivery.event, delivery.call_id) == (Event.CALL_COMPLETED, call_id)
        body: Mapping[str, Any] = json.loads(delivery.body)
        assert body["status"] == "completed"
        assert body["summary"]["text"] == "고객이 환불을 문의함"
        assert len(body["turns"]) == 2

    def test_a_failed_call_is_told_too(self, pipeline: Pipeline) -> None:
        pipeline.fail(Stage.PREPROCESS, NotAudioError())
        analysed(pipeline, callback_url=URL)
        [delivery] = deliveries(pipeline)
        body = json.loads(delivery.body)
        assert body["status"] == "failed"
        assert body["stages"][0]["problem"]["code"] == "not_audio"

    def test_who_gave_no_address_and_wants_no_analysis_costs_nothing(
        self, pipeline: Pipeline
    ) -> None:
        analysed(pipeline)
        with pipeline.sessions() as session:
            assert session.scalars(select(CallEnding)).all() == []

    def test_a_cancelled_call_is_not_told(self, pipeline: Pipeline) -> None:
        call_id = insert_call(pipeline.sessions, callback_url=URL)
        with unit_of_work(pipeline.sessions) as session:
            calls.cancel(session, session.get_one(Call, call_id).client_id, call_id)
        pipeline.run()
        assert deliveries(pipeline) == []

    def test_a_re_run_says_what_it_supersedes(self, pipeline: Pipeline) -> None:
        call_id = analysed(pipeline, callback_url=URL)
        [first] = deliveries(pipeline)
        with unit_of_work(pipeline.sessions) as session:
            client_id = session.get_one(Call, call_id).client_id
            hints = calls.rerun(session, client_id, call_id, Stage.SENTIMENT)
        pipeline.send(hints)
        pipeline.run()

        [_, second] = deliveries(pipeline)
        assert (first.supersedes, second.supersedes) == (None, first.id)

    def test_the_end_of_a_call_that_was_deleted_meanwhile_is_done_with(
        self, pipeline: Pipeline
    ) -> None:
        works = dict(pipeline.jobs)
        pipeline.jobs.clear()
        call_id = analysed(pipeline, callback_url=URL)
        with unit_of_work(pipeline.sessions) as session:
            calls.delete(session, session.get_one(Call, call_id).client_id, call_id)
        pipeline.jobs |= works
        pipeline.run()
        with pipeline.sessions() as session:
            [job] = session.scalars(select(Job)).all()
            assert job.status is StageStatus.DONE

    def test_a_deleted_call_is_told_of_no_more(self, pipeline: Pipeline) -> None:
        call_id = analysed(pipeline, callback_url=URL)
        assert len(deliveries(pipeline)) == 1
        with unit_of_work(pipeline.sessions) as session:
            calls.delete(session, session.get_one(Call, call_id).client_id, call_id)
        assert deliveries(pipeline) == []

    def test_a_message_that_was_lost_is_sent_again(self, pipeline: Pipeline) -> None:
        works = dict(pipeline.jobs)
        pipeline.jobs.clear()
        analysed(pipeline, callback_url=URL)
        pipeline.job_hints.clear()
        pipeline.jobs |= works
        quick = PipelineSettings(hint_after_s=0.000001)
        pipeline.send(upkeep.sweep(pipeline.sessions, quick))
        pipeline.run()
        assert len(deliveries(pipeline)) == 1


class TestAnalysis:
    def test_a_call_joins_the_batch_of_its_client_and_address(
        self, pipeline: Pipeline, settings: Settings
    ) -> None:
        call_id = analysed(pipeline, callback_url=URL, analyse=True, consultation_id="CL-7")
        assert deliveries(pipeline) == []
        shown = result(pipeline, call_id).analysis
        assert shown is not None
        assert (shown.status, shown.summary) == (StageStatus.WAITING, None)

        with unit_of_work(pipeline.sessions) as session:
            session.execute(update(AnalysisBatch).values(closes_at=AnalysisBatch.created_at))
        pipeline.send(batches.close_due(pipeline.sessions, settings))
        pipeline.run()

        shown = result(pipeline, call_id).analysis
        assert shown is not None
        assert shown.status is StageStatus.DONE
        assert set(shown.summary or {}) == {"customer", "agent", "result"}
        [delivery] = deliveries(pipeline)
        assert delivery.event is Event.BATCH_COMPLETED
        [told] = json.loads(delivery.body)["results"]
        assert told["consultation_id"] == "CL-7"

    def test_a_failed_call_is_told_since_there_is_nothing_to_analyse(
        self, pipeline: Pipeline
    ) -> None:
        pipeline.fail(Stage.PREPROCESS, NotAudioError())
        call_id = analysed(pipeline, callback_url=URL, analyse=True)
        [delivery] = deliveries(pipeline)
        assert delivery.event is Event.CALL_COMPLETED
        assert result(pipeline, call_id).analysis is None

    def test_a_call_that_ends_twice_before_its_analysis_waits_once(
        self, pipeline: Pipeline
    ) -> None:
        call_id = analysed(pipeline, analyse=True)
        with unit_of_work(pipeline.sessions) as session:
            client_id = session.get_one(Call, call_id).client_id
            hints = calls.rerun(session, client_id, call_id, Stage.SENTIMENT)
        pipeline.send(hints)
        pipeline.run()
        with pipeline.sessions() as session:
            query = select(AnalysisItem).where(AnalysisItem.call_id == call_id)
            assert len(session.scalars(query).all()) == 1

    def test_a_deleted_call_leaves_no_analysis(
        self, pipeline: Pipeline, settings: Settings
    ) -> None:
        waiting = analysed(pipeline, analyse=True)
        with unit_of_work(pipeline.sessions) as session:
            calls.delete(session, session.get_one(Call, waiting).client_id, waiting)
            session.execute(update(AnalysisBatch).values(closes_at=AnalysisBatch.created_at))
        pipeline.send(batches.close_due(pipeline.sessions, settings))
        pipeline.run()
        with pipeline.sessions() as session:
            [item] = session.scalars(select(AnalysisItem)).all()
            [found] = AnalysisItems(session).of(item.batch_id)
            assert (found.call_id, found.job.status) == (None, StageStatus.FAILED)
            assert (found.job.problem or {})["code"] == "call_not_found"

    def test_what_was_found_goes_with_the_call(
        self, pipeline: Pipeline, settings: Settings
    ) -> None:
        call_id = analysed(pipeline, analyse=True)
        with unit_of_work(pipeline.sessions) as session:
            session.execute(update(AnalysisBatch).values(closes_at=AnalysisBatch.created_at))
        pipeline.send(batches.close_due(pipeline.sessions, settings))
        pipeline.run()
        with unit_of_work(pipeline.sessions) as session:
            calls.delete(session, session.get_one(Call, call_id).client_id, call_id)
        with pipeline.sessions() as session:
            [item] = session.scalars(select(AnalysisItem)).all()
            [found] = AnalysisItems(session).of(item.batch_id)
            assert found.results == []


def test_the_status_is_the_call_s_own(pipeline: Pipeline) -> None:
    call_id = analysed(pipeline, callback_url=URL)
    assert result(pipeline, call_id).status is JobStatus.COMPLETED
