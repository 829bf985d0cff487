import hashlib
from uuid import UUID

from sqlalchemy import update

from callytics.db.engine import unit_of_work
from callytics.db.models import Call
from callytics.domain.audio import Attribution, PreparedAudio
from callytics.domain.serial import from_json
from callytics.domain.stages import Stage, StageStatus
from tests.support.desk import Desk
from tests.support.recordings import call, side_by_side, wav_bytes

RECORDING = wav_bytes(call(length_s=5))
STEREO = wav_bytes(side_by_side(call(start_s=1, length_s=4), call(start_s=9, length_s=4)))
URL = "https://recordings.example/1.wav"


def test_a_stored_recording_is_prepared(desk: Desk) -> None:
    call_id = desk.call(RECORDING)
    desk.run(call_id, Stage.PREPROCESS)
    row, run = desk.row(call_id), desk.stage(call_id, Stage.PREPROCESS)
    assert run.status is StageStatus.DONE
    audio = from_json(PreparedAudio, run.output or {})
    assert audio.attribution is Attribution.DIARIZATION
    assert [channel.key for channel in audio.channels] == [f"calls/{call_id}/channel-0.wav"]
    assert (row.duration_s, run.audio_s) == (5.0, 5.0)
    assert row.audio_sha256 == audio.sha256 == hashlib.sha256(RECORDING).hexdigest()
    assert (run.model, run.device) == ("ffmpeg+silero-vad", "cpu")
    assert desk.fetcher.asked == []


def test_a_checksum_that_was_taken_before_stays(desk: Desk) -> None:
    call_id = desk.call(RECORDING, audio_sha256="0" * 64)
    desk.run(call_id, Stage.PREPROCESS)
    assert desk.row(call_id).audio_sha256 == "0" * 64


def test_a_recording_behind_an_address_is_fetched_first(desk: Desk) -> None:
    call_id = by_url(desk)
    desk.fetcher.files[URL] = RECORDING
    desk.run(call_id, Stage.PREPROCESS)
    row = desk.row(call_id)
    assert desk.fetcher.asked == [URL]
    assert (row.audio_key, row.audio_bytes) == (f"calls/{call_id}/original", len(RECORDING))
    assert row.audio_sha256 == hashlib.sha256(RECORDING).hexdigest()
    assert b"".join(desk.store.read(f"calls/{call_id}/original")) == RECORDING


def by_url(desk: Desk) -> UUID:
    call_id = desk.call(audio_url=URL)
    with unit_of_work(desk.sessions) as session:
        session.execute(update(Call).where(Call.id == call_id).values(audio_key=None))
    return call_id


def test_channels_are_told_apart_as_the_request_says(desk: Desk) -> None:
    call_id = desk.call(STEREO, channels={"agent": 1, "customer": 0})
    desk.run(call_id, Stage.PREPROCESS)
    output = desk.stage(call_id, Stage.PREPROCESS).output or {}
    assert output["attribution"] == "channel"


def test_channels_that_are_not_there_fail_the_stage_for_good(desk: Desk) -> None:
    call_id = desk.call(RECORDING, channels={"agent": 0, "customer": 1})
    desk.run(call_id, Stage.PREPROCESS)
    run = desk.stage(call_id, Stage.PREPROCESS)
    assert run.status is StageStatus.FAILED
    assert (run.problem or {})["code"] == "audio_channels"


def test_a_recording_that_is_gone_fails_the_stage(desk: Desk) -> None:
    call_id = desk.call()
    desk.run(call_id, Stage.PREPROCESS)
    problem = desk.stage(call_id, Stage.PREPROCESS).problem or {}
    assert problem["code"] == "audio_missing"
