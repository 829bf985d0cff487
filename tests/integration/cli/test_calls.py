import json
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import unit_of_work
from callytics.domain.stages import Stage
from callytics.errors import NotAudioError
from callytics.services import keys
from callytics.settings import Settings
from tests.integration.cli.conftest import Run
from tests.support.calls import insert_call
from tests.support.pipeline import Pipeline


def submitted(call: Run, *arguments: str) -> str:
    result = call("submit", *arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout.strip()


def analysed(call: Run, recording: str, *options: str) -> str:
    result = call("submit", recording, "--wait", "--json", *options)
    assert result.exit_code == 0, result.stderr
    return str(json.loads(result.stdout)["call_id"])


def test_submit_prints_the_id_alone(call: Run, recording: str) -> None:
    call_id = submitted(call, recording)
    assert json.loads(call("calls", "show", call_id, "--json").stdout)["call_id"] == call_id


def test_submit_json_prints_the_answer_of_the_server(call: Run, recording: str) -> None:
    answer = json.loads(call("submit", recording, "--json").stdout)
    assert answer["status"] == "queued"
    assert answer["status_url"].endswith(answer["call_id"])


def test_wait_json_prints_exactly_the_result_of_the_call(call: Run, recording: str) -> None:
    result = call("submit", recording, "--wait", "--json")
    assert result.exit_code == 0
    assert result.stdout.count("\n") == 1
    shown = json.loads(result.stdout)
    assert shown == json.loads(call("calls", "show", shown["call_id"], "--json").stdout)
    assert shown["status"] == "completed"
    assert shown["summary"]["text"]


def test_several_recordings_give_a_line_each_in_the_order_given(
    call: Run, recording: str, tmp_path: Path
) -> None:
    other = tmp_path / "other.wav"
    other.write_bytes(Path(recording).read_bytes())
    first, second = call("submit", recording, str(other), "--wait", "--json").stdout.splitlines()
    listed = json.loads(call("calls", "list", "--json").stdout)["data"]
    assert [json.loads(line)["call_id"] for line in (second, first)] == [
        each["call_id"] for each in listed
    ]


def test_wait_shows_the_stages_as_they_move_and_then_the_result(call: Run, recording: str) -> None:
    result = call("submit", recording, "--wait")
    assert result.exit_code == 0
    for stage in Stage:
        assert f"{stage} done" in result.stderr
    assert "환불이 안 돼요" in result.stdout
    assert "고객이 환불을 문의함" in result.stdout


def test_every_option_reaches_the_call(call: Run, recording: str) -> None:
    call_id = submitted(
        call,
        recording,
        *("--consultation-id", "CL-1", "--priority", "high", "--language", "ko"),
        *("--channels", "agent=1,customer=0", "--stages", "preprocess,transcribe"),
        *("--hotwords", "한빛통신,해지", "--metadata", '{"branch": "서울"}'),
    )
    shown = json.loads(call("calls", "show", call_id, "--json").stdout)
    assert shown["consultation_id"] == "CL-1"
    assert shown["priority"] == "high"
    assert shown["language"] == "ko"
    assert shown["channels"] == {"agent": 1, "customer": 0}
    assert [stage["name"] for stage in shown["stages"]] == ["preprocess", "transcribe"]
    assert shown["metadata"] == {"branch": "서울"}


def test_the_same_idempotency_key_makes_one_call(call: Run, recording: str) -> None:
    options = (recording, "--idempotency-key", "k")
    assert submitted(call, *options) == submitted(call, *options)


def test_a_call_that_fails_ends_with_3_and_says_why(
    call: Run, recording: str, pipeline: Pipeline
) -> None:
    pipeline.fail(Stage.PREPROCESS, NotAudioError())
    result = call("submit", recording, "--wait")
    assert result.exit_code == 3
    assert "not_audio" in result.stdout


def test_a_recording_that_the_server_refuses_is_explained(call: Run, tmp_path: Path) -> None:
    empty = tmp_path / "empty.wav"
    empty.touch()
    result = call("submit", str(empty))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "(audio_empty)" in result.stderr


def test_a_refused_recording_does_not_keep_the_others_back(
    call: Run, recording: str, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.wav"
    empty.touch()
    result = call("submit", str(empty), recording)
    assert result.exit_code == 1
    assert f"{empty}: " in result.stderr
    assert len(result.stdout.splitlines()) == 1


def test_a_path_that_the_server_must_not_read_is_refused(call: Run) -> None:
    result = call("submit", "--path", "/etc/passwd")
    assert result.exit_code == 5
    assert "audio_path_forbidden" in result.stderr


def test_list_prints_the_page_of_calls_in_one_state(call: Run, recording: str) -> None:
    call_id = analysed(call, recording)
    page = json.loads(call("calls", "list", "--json", "--status", "completed").stdout)
    assert page["object"] == "list"
    assert [each["call_id"] for each in page["data"]] == [call_id]
    assert page["has_more"] is False
    assert json.loads(call("calls", "list", "--json", "--status", "failed").stdout)["data"] == []


def test_list_goes_on_behind_a_call(call: Run, recording: str) -> None:
    older, newer = submitted(call, recording), submitted(call, recording)
    first = call("calls", "list", "--limit", "1")
    assert newer in first.stdout
    assert f"--after {newer}" in first.stderr
    assert older in call("calls", "list", "--after", newer).stdout


def test_an_empty_list_names_the_client_that_asked(call: Run) -> None:
    result = call("calls", "list")
    assert result.exit_code == 0
    assert "client cli" in result.stderr


def test_show_prints_words_when_asked(call: Run, recording: str) -> None:
    call_id = analysed(call, recording)
    shown = json.loads(call("calls", "show", call_id, "--json", "--words").stdout)
    assert shown["turns"][0]["words"][0]["text"] == "안녕하세요"


@pytest.mark.parametrize("command", ["show", "cancel", "export"])
def test_an_unknown_call_is_not_found(call: Run, command: str) -> None:
    result = call("calls", command, str(uuid4()))
    assert (result.exit_code, result.stdout) == (4, "")
    assert "(call_not_found)" in result.stderr


def test_rerun_begins_at_the_stage(call: Run, recording: str, pipeline: Pipeline) -> None:
    call_id = analysed(call, recording)
    answer = json.loads(call("calls", "rerun", call_id, "--from", "sentiment", "--json").stdout)
    assert answer["call_id"] == call_id
    assert call("calls", "rerun", call_id, "--from", "singing").exit_code == 2


def test_a_finished_call_cannot_be_cancelled(call: Run, recording: str) -> None:
    result = call("calls", "cancel", analysed(call, recording))
    assert result.exit_code == 1
    assert "(call_finished)" in result.stderr


def test_delete_asks_first(call: Run, recording: str) -> None:
    call_id = analysed(call, recording)
    assert call("calls", "delete", call_id).exit_code == 1
    assert call("calls", "show", call_id).exit_code == 0
    assert call("calls", "delete", call_id, "--yes").exit_code == 0
    assert call("calls", "show", call_id).exit_code == 4


def test_export_writes_a_file_and_replaces_none_unasked(
    call: Run, recording: str, tmp_path: Path
) -> None:
    call_id, file = analysed(call, recording), tmp_path / "call.srt"
    options = (call_id, "--format", "srt", "-o", str(file))
    assert call("calls", "export", *options).exit_code == 0
    assert "-->" in file.read_text("utf-8")
    file.write_text("mine")
    assert call("calls", "export", *options).exit_code == 1
    assert file.read_text() == "mine"
    assert call("calls", "export", *options, "--force").exit_code == 0
    assert "-->" in file.read_text("utf-8")


def test_export_prints_the_transcript(call: Run, recording: str) -> None:
    result = call("calls", "export", analysed(call, recording))
    assert result.exit_code == 0
    assert "환불이 안 돼요" in result.stdout


def test_clients_see_their_own_calls_only(
    call: Run, recording: str, sessions: sessionmaker[Session], settings: Settings
) -> None:
    with unit_of_work(sessions) as session:
        keys.create(session, keys.make_cipher(settings), name="other")
    call_id = submitted(call, recording)
    assert call("calls", "show", call_id, "--client", "other").exit_code == 4
    assert call("calls", "show", call_id).exit_code == 0


def test_an_operator_sees_every_client_s_calls_and_whose_they_are(
    call: Run, recording: str, sessions: sessionmaker[Session], settings: Settings
) -> None:
    with unit_of_work(sessions) as session:
        keys.create(session, keys.make_cipher(settings), name="branch")
    older = analysed(call, recording, "--client", "branch")
    newer = analysed(call, recording)

    page = json.loads(call("calls", "list", "--all-clients", "--json").stdout)
    assert [(each["call_id"], each["client_id"]) for each in page["data"]] == [
        (newer, "cli"),
        (older, "branch"),
    ]
    of_one = json.loads(call("calls", "list", "--json").stdout)
    assert page == {
        **of_one,
        "data": [{**of_one["data"][0], "client_id": "cli"}, page["data"][1]],
        "last_id": older,
    }
    shown = call("calls", "list", "--all-clients", "--limit", "1")
    assert "cli" in shown.stdout
    assert f"--after {newer}" in shown.stderr
    shown = call("calls", "list", "--all-clients", "--after", newer)
    assert older in shown.stdout
    assert "branch" in shown.stdout


@pytest.mark.parametrize(
    ("options", "number"),
    [
        (("--status", "queued"), 1),
        (("--status", "failed"), 0),
        (("--consultation-id", "CL-1"), 1),
        (("--consultation-id", "CL-2"), 0),
        (("--created-after", "2025-09-13T00:00:00+09:00"), 1),
        (("--created-before", "2025-09-13T00:00:00+09:00"), 0),
    ],
)
def test_every_client_s_calls_are_filtered_as_one_s(
    run: Run, sessions: sessionmaker[Session], options: tuple[str, ...], number: int
) -> None:
    call_id = str(insert_call(sessions, consultation_id="CL-1"))
    page = json.loads(run("calls", "list", "--all-clients", "--json", *options).stdout)
    assert [each["call_id"] for each in page["data"]] == [call_id][:number]


@pytest.mark.parametrize(
    "options",
    [
        ("--client", "branch"),
        ("--api-url", "http://127.0.0.1:9"),
        ("--created-after", "2025-09-13"),
    ],
)
def test_every_client_s_calls_are_not_asked_for_with_nonsense(
    run: Run, options: tuple[str, ...]
) -> None:
    result = run("calls", "list", "--all-clients", *options)
    assert (result.exit_code, result.stdout) == (2, "")


@pytest.mark.parametrize("after", [str(uuid4()), "the-last"], ids=["unknown", "no id"])
def test_every_client_s_calls_begin_behind_one_that_exists(run: Run, after: str) -> None:
    assert run("calls", "list", "--all-clients", "--after", after).exit_code == 4


def test_a_client_elsewhere_signs_with_the_secret_of_its_environment(
    call: Run, recording: str, sessions: sessionmaker[Session], settings: Settings
) -> None:
    with unit_of_work(sessions) as session:
        secret = keys.create(session, keys.make_cipher(settings), name="branch")
    remote = {"DATABASE_URL": "", "CLIENT__NAME": "branch", "CLIENT__SECRET": secret}
    assert call("submit", recording, **remote).exit_code == 0
    result = call("submit", recording, **{**remote, "CLIENT__SECRET": "wrong"})
    assert result.exit_code == 5
    assert "(invalid_bound_key)" in result.stderr
