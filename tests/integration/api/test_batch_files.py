"""Batches out of files, as OpenAI's own client sends and reads them."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import openai
import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from api.context import ApiContext
from callytics.db.engine import unit_of_work
from callytics.db.models import BatchFile
from callytics.services.upkeep import BATCH_FILE_KEPT, tidy
from tests.support.api import ApiClient, problem, serving
from tests.support.chat import CONVERSATION, ScriptedChat, fails_for
from tests.support.pipeline import Pipeline

ENDPOINT = "/api/v1/consultation/batch-analysis"
FILES, BATCHES = "/v1/files", "/v1/batches"


pytestmark = pytest.mark.usefixtures("chat")


@pytest.fixture
def sdk(context: ApiContext, client: ApiClient) -> Iterator[openai.OpenAI]:
    """The public client, which makes a fresh key for each request."""
    with serving(context) as server:
        base_url = f"{server.base_url}/v1"
        with openai.OpenAI(api_key=client.key, base_url=base_url, max_retries=0) as sdk:
            yield sdk


def line(custom_id: str, text: str = CONVERSATION, **more: Any) -> str:
    body = {"conversation_text": text, "metadata": {"call_date": "2025-09-13"}}
    whole = {"custom_id": custom_id, "method": "POST", "url": ENDPOINT, "body": body, **more}
    return json.dumps(whole, ensure_ascii=False)


def lines(number: int) -> bytes:
    return "\n".join(line(f"CL-{n:04}") for n in range(number)).encode()


def send(client: ApiClient, content: bytes, **form: str) -> Any:
    form = {"purpose": "batch", **form}
    return client.post(FILES, files={"file": ("calls.jsonl", content)}, data=form)


def file_of(client: ApiClient, content: bytes) -> str:
    response = send(client, content)
    assert response.status_code == 200, response.text
    return str(response.json()["id"])


def batch_of(client: ApiClient, file_id: str, **more: Any) -> Any:
    body = {"input_file_id": file_id, "endpoint": ENDPOINT, "completion_window": "24h", **more}
    return client.post(BATCHES, json=body)


class TestThePublicClient:
    def test_a_file_becomes_a_batch_and_its_results(
        self, sdk: openai.OpenAI, pipeline: Pipeline
    ) -> None:
        sent = sdk.files.create(file=("calls.jsonl", lines(3)), purpose="batch")
        batch: Any = sdk.batches.create(
            input_file_id=sent.id,
            endpoint=ENDPOINT,  # type: ignore[arg-type]  # one of ours, not one of OpenAI's
            completion_window="24h",
            metadata={"shift": "night"},
        )
        assert (batch.status, batch.output_file_id) == ("in_progress", None)
        pipeline.run()

        batch = sdk.batches.retrieve(batch.id)
        assert batch.status == "completed"
        assert batch.metadata == {"shift": "night"}
        assert (batch.request_counts.completed, batch.request_counts.failed) == (3, 0)
        assert batch.error_file_id is None
        assert [one.id for one in sdk.batches.list()] == [batch.id]

        results = [
            json.loads(text) for text in sdk.files.content(batch.output_file_id).text.splitlines()
        ]
        assert [one["custom_id"] for one in results] == ["CL-0000", "CL-0001", "CL-0002"]
        for one in results:
            assert one["error"] is None
            assert one["response"]["status_code"] == 200
            assert one["response"]["body"]["summary"]["customer"]
            assert one["response"]["body"]["evidence"]
        told = sdk.files.retrieve(batch.output_file_id)
        assert told.bytes == len(sdk.files.content(batch.output_file_id).content)

    def test_what_was_sent_is_kept_and_dropped(self, sdk: openai.OpenAI) -> None:
        sent = sdk.files.create(file=("calls.jsonl", lines(2)), purpose="batch")
        assert sdk.files.retrieve(sent.id).filename == "calls.jsonl"
        assert sdk.files.content(sent.id).content == lines(2)
        assert sdk.files.delete(sent.id).deleted
        with pytest.raises(openai.NotFoundError):
            sdk.files.retrieve(sent.id)

    def test_a_batch_is_cancelled(self, sdk: openai.OpenAI, pipeline: Pipeline) -> None:
        sent = sdk.files.create(file=("calls.jsonl", lines(2)), purpose="batch")
        batch: Any = sdk.batches.create(
            input_file_id=sent.id,
            endpoint=ENDPOINT,  # type: ignore[arg-type]  # as above
            completion_window="24h",
        )
        assert sdk.batches.cancel(batch.id).status == "cancelled"
        pipeline.run()
        batch = sdk.batches.retrieve(batch.id)
        assert batch.output_file_id is None
        errors = sdk.files.content(batch.error_file_id).text.splitlines()
        assert [json.loads(text)["error"]["code"] for text in errors] == ["cancelled"] * 2

    def test_a_refusal_says_why(self, sdk: openai.OpenAI) -> None:
        content = f"{line('a')}\n{{}}".encode()
        with pytest.raises(
            openai.UnprocessableEntityError, match=r"line\.2\.custom_id: Field required"
        ):
            sdk.files.create(file=("calls.jsonl", content), purpose="batch")
        with pytest.raises(openai.NotFoundError, match="no batch with this id"):
            sdk.batches.retrieve("BATCH-1")


class TestFiles:
    @pytest.mark.parametrize(
        ("content", "field"),
        [
            (line("a") + "\n{", "line.2"),
            (line("a", method="GET"), "line.1.method"),
            (line("a", url="/v1/chat/completions"), "line.1.url"),
            (line(""), "line.1.custom_id"),
            (line("a", " "), "line.1.body.conversation_text"),
            (line("a", "고" * 200_001), "line.1.body.conversation_text"),
            (line("a").replace("고객", "\\ud800"), "line.1"),
            ("[]", "line.1"),
            ('{"custom_id": "a"}', "line.1.method"),
        ],
    )
    def test_a_faulty_line_is_named_and_not_repeated(
        self, client: ApiClient, content: str, field: str
    ) -> None:
        told = problem(send(client, content.encode()), 422, "invalid_request")
        assert field in {fault["field"] for fault in told["errors"]}
        assert "환불" not in json.dumps(told, ensure_ascii=False)

    @pytest.mark.parametrize(
        ("content", "status", "code"),
        [
            (b"", 422, "invalid_request"),
            (b"\n \n", 422, "invalid_request"),
            (b"\xff\xfe", 400, "malformed_request"),
            (lines(1) + b"\n" + lines(1), 422, "consultation_doubled"),
            (lines(1001), 422, "invalid_request"),
            (b"\n" * 3_000_000 + lines(1), 422, "invalid_request"),
            (lines(1) + b"\0", 400, "malformed_request"),
        ],
    )
    def test_a_file_that_cannot_be_a_batch(
        self, client: ApiClient, content: bytes, status: int, code: str
    ) -> None:
        problem(send(client, content), status, code)

    def test_many_faults_are_cut_short(self, client: ApiClient) -> None:
        told = problem(send(client, b"{}\n" * 500), 422, "invalid_request")
        assert len(told["errors"]) == 20
        assert "There may be more faults" in told["errors"][-1]["message"]

    def test_a_line_of_very_many_faults_is_told_in_short(self, client: ApiClient) -> None:
        line = json.dumps({str(n): 1 for n in range(100_000)}).encode()
        told = problem(send(client, line), 422, "invalid_request")
        assert told["errors"] == [{"field": "line.1", "message": "There are 100004 faults"}]
        told = problem(
            send(client, json.dumps({"x" * 100_000: 1}).encode()), 422, "invalid_request"
        )
        assert len(json.dumps(told)) < 1000

    def test_a_line_ends_where_it_ends_for_every_reader(
        self, client: ApiClient, pipeline: Pipeline
    ) -> None:
        made = batch_of(client, file_of(client, line("a\u2028b\x85c").encode())).json()["id"]
        pipeline.run()
        [only] = client.get(f"{FILES}/file-{made}-output/content").text.splitlines()
        assert json.loads(only)["custom_id"] == "a\u2028b\x85c"

    def test_what_is_no_form_or_has_no_file_or_another_purpose(self, client: ApiClient) -> None:
        problem(client.post(FILES, json={}), 415, "unsupported_media_type")
        problem(send(client, lines(1), purpose="fine-tune"), 422, "invalid_request")
        files = {"audio2": ("calls.jsonl", lines(1))}
        problem(client.post(FILES, files=files, data={"purpose": "batch"}), 422, "invalid_request")

    def test_empty_lines_and_a_byte_order_mark_do_no_harm(
        self, client: ApiClient, pipeline: Pipeline
    ) -> None:
        content = b"\xef\xbb\xbf" + lines(2).replace(b"\n", b"\r\n\r\n") + b"\r\n"
        assert batch_of(client, file_of(client, content)).json()["request_counts"]["total"] == 2

    def test_another_client_sees_none_of_it(
        self, client: ApiClient, new_client: Any, pipeline: Pipeline
    ) -> None:
        file_id = file_of(client, lines(1))
        batch = batch_of(client, file_id).json()["id"]
        pipeline.run()
        other = new_client("other")
        for path in (f"{FILES}/{file_id}", f"{FILES}/{file_id}/content"):
            problem(other.get(path), 404, "file_not_found")
        problem(other.get(f"{FILES}/file-{batch}-output/content"), 404, "file_not_found")
        problem(batch_of(other, file_id), 404, "file_not_found")
        problem(other.get(f"{BATCHES}/{batch}"), 404, "batch_not_found")
        assert other.get(BATCHES).json()["data"] == []

    def test_files_are_dropped_after_a_day(
        self, client: ApiClient, context: ApiContext, sessions: sessionmaker[Session]
    ) -> None:
        old, new = file_of(client, lines(1)), file_of(client, lines(9))
        with unit_of_work(sessions) as session:
            older = BatchFile.created_at - BATCH_FILE_KEPT - timedelta(minutes=1)
            session.execute(update(BatchFile).where(BatchFile.size < 1000).values(created_at=older))
        tidy(sessions, context.store, context.settings)
        problem(client.get(f"{FILES}/{old}"), 404, "file_not_found")
        assert client.get(f"{FILES}/{new}").status_code == 200


class TestBatches:
    def test_one_stays_apart_from_the_batch_that_is_open(self, client: ApiClient) -> None:
        one = {"consultation_id": "CL-9", "conversation_text": CONVERSATION}
        open_ = client.post(ENDPOINT, json={"consultations": [one]}).json()["batch_id"]
        made = batch_of(client, file_of(client, lines(30))).json()
        assert made["id"] != open_
        assert made["request_counts"] == {"total": 30, "completed": 0, "failed": 0}
        assert client.get(f"{BATCHES}/{open_}").status_code == 404
        whole = client.get(f"/api/v1/consultation/batches/{made['id']}").json()
        assert whole["total_consultations"] == 30
        assert whole["closed_at"]

    def test_a_batch_is_not_made_twice(self, client: ApiClient) -> None:
        file_id = file_of(client, lines(2))
        made = batch_of(client, file_id).json()
        assert batch_of(client, file_id).json() == made
        with_notes = batch_of(client, file_id, metadata={"shift": "night"})
        told = problem(with_notes, 409, "consultation_waiting")
        assert told["batch_id"] == made["id"]
        same_content = batch_of(client, file_of(client, lines(1)))
        problem(same_content, 409, "consultation_waiting")

    def test_made_by_several_at_once_it_is_one(
        self, client: ApiClient, context: ApiContext, pipeline: Pipeline
    ) -> None:
        file_id = file_of(client, lines(3))
        with serving(context) as server, ThreadPoolExecutor(4) as pool:
            desk = ApiClient(server, client.name, client.secret)
            made = list(pool.map(lambda _: batch_of(desk, file_id).json(), range(4)))
        assert {batch["id"] for batch in made} == {made[0]["id"]}
        assert made[0]["request_counts"]["total"] == 3
        assert len(client.get(BATCHES).json()["data"]) == 1
        assert len(pipeline.job_hints) == 3

    def test_a_file_dropped_by_several_at_once_is_dropped_once(
        self, client: ApiClient, context: ApiContext
    ) -> None:
        path = f"{FILES}/{file_of(client, lines(1))}"
        with serving(context) as server, ThreadPoolExecutor(4) as pool:
            desk = ApiClient(server, client.name, client.secret)
            statuses = list(pool.map(lambda _: desk.request("DELETE", path).status_code, range(4)))
        assert sorted(statuses) == [200, 404, 404, 404]

    def test_the_same_idempotency_key_gets_the_same_batch(self, client: ApiClient) -> None:
        body = {"input_file_id": file_of(client, lines(2)), "endpoint": ENDPOINT}
        headers = {"Idempotency-Key": "k"}
        first, second = (client.post(BATCHES, json=body, headers=headers) for _ in range(2))
        assert first.json() == second.json()
        noted = client.post(BATCHES, json={**body, "metadata": {"a": "b"}}, headers=headers)
        problem(noted, 422, "idempotency_key_reused")

    def test_an_idempotency_key_is_of_one_way_in(self, client: ApiClient) -> None:
        headers = {"Idempotency-Key": "k"}
        some = [
            {
                "consultation_id": f"CL-{n:04}",
                "conversation_text": CONVERSATION,
                "metadata": {"call_date": "2025-09-13"},
            }
            for n in range(2)
        ]
        sent = client.post(ENDPOINT, json={"consultations": some}, headers=headers)
        assert sent.status_code == 202
        body = {"input_file_id": file_of(client, lines(2)), "endpoint": ENDPOINT}
        again = client.post(BATCHES, json=body, headers=headers)
        problem(again, 422, "idempotency_key_reused")

    def test_a_result_stands_though_a_later_run_failed(
        self, client: ApiClient, pipeline: Pipeline, chat: ScriptedChat
    ) -> None:
        made = batch_of(client, file_of(client, lines(2))).json()["id"]
        pipeline.run()
        chat.answer = fails_for("환불")
        path = f"/api/v1/consultation/batches/{made}/rerun"
        assert client.post(path, json={"only_failed": False}).status_code == 202
        pipeline.exhaust()
        batch = client.get(f"{BATCHES}/{made}").json()
        assert batch["request_counts"] == {"total": 2, "completed": 2, "failed": 0}
        assert batch["error_file_id"] is None
        text = client.get(f"{FILES}/{batch['output_file_id']}/content").text
        assert [json.loads(one)["response"]["body"]["status"] for one in text.splitlines()] == [
            "done",
            "done",
        ]

    def test_what_failed_is_in_the_error_file(
        self, client: ApiClient, pipeline: Pipeline, chat: ScriptedChat
    ) -> None:
        chat.answer = fails_for("이삿짐")
        content = "\n".join([line("good"), line("bad", "고객: 이삿짐이 안 와요.")])
        made = batch_of(client, file_of(client, content.encode())).json()["id"]
        pipeline.exhaust()
        batch = client.get(f"{BATCHES}/{made}").json()
        assert batch["request_counts"] == {"total": 2, "completed": 1, "failed": 1}
        output, errors = (
            [json.loads(text) for text in client.get(f"{FILES}/{id_}/content").text.splitlines()]
            for id_ in (batch["output_file_id"], batch["error_file_id"])
        )
        assert [one["custom_id"] for one in output] == ["good"]
        assert [(one["custom_id"], one["response"]) for one in errors] == [("bad", None)]
        assert errors[0]["error"]["code"] == "model_unavailable"

    def test_it_is_called_back_where_its_notes_say_so(
        self, client: ApiClient, pipeline: Pipeline
    ) -> None:
        url = "https://centerlink.example/webhook/analysis-complete"
        made = batch_of(client, file_of(client, lines(1)), metadata={"callback_url": url})
        batch = client.get(f"/api/v1/consultation/batches/{made.json()['id']}").json()
        assert batch["callback_url"] == url
        refused = batch_of(
            client, file_of(client, lines(2)), metadata={"callback_url": "http://10.0.0.7/"}
        )
        assert refused.status_code == 422

    def test_results_that_are_not_there(self, client: ApiClient) -> None:
        made = batch_of(client, file_of(client, lines(1))).json()["id"]
        for name in (f"file-{made}-output", f"file-{made}-other", "file-x", "file-BATCH-1-output"):
            problem(client.get(f"{FILES}/{name}/content"), 404, "file_not_found")
        problem(client.request("DELETE", f"{FILES}/file-{made}-output"), 404, "file_not_found")

    def test_a_key_is_needed(self, client: ApiClient) -> None:
        problem(client.http.get(BATCHES), 401, "invalid_bound_key")
        bearer = {"Authorization": "Bearer nonsense"}
        problem(client.http.get(BATCHES, headers=bearer), 401, "invalid_bound_key")
        bearer = {"Authorization": f"Bearer {client.key()}"}
        assert client.http.get(BATCHES, headers=bearer).status_code == 200
