import pytest

from callytics.domain.stages import Stage, StageStatus
from callytics.domain.transcript import SpeakerSegment
from tests.support.desk import Desk
from tests.support.recordings import call, side_by_side, silence, wav_bytes

MONO = wav_bytes(call(length_s=5))
STEREO = wav_bytes(side_by_side(call(start_s=1, length_s=4), call(start_s=9, length_s=4)))
FIRST = (Stage.PREPROCESS, Stage.DIARIZE)


def test_a_mono_call_is_told_apart_by_voice(desk: Desk) -> None:
    desk.diarizer.segments = [SpeakerSegment(speaker="SPEAKER_00", start_s=1.0, end_s=4.5)]
    call_id = desk.call(MONO)
    desk.run(call_id, *FIRST)
    run = desk.stage(call_id, Stage.DIARIZE)
    spoken = {"speaker": "SPEAKER_00", "start_s": 1.0, "end_s": 4.5}
    assert run.output == {"speech": [spoken], "exclusive": [spoken]}
    assert (run.model, run.audio_s) == ("fake", 5.0)
    assert desk.diarizer.asked == [(80_000, 2)]


@pytest.mark.parametrize("channels", [None, {"agent": 0, "customer": 1}])
def test_a_stereo_call_asks_no_model(desk: Desk, channels: dict[str, int] | None) -> None:
    call_id = desk.call(STEREO, channels=channels)
    desk.run(call_id, *FIRST)
    run = desk.stage(call_id, Stage.DIARIZE)
    segments = (run.output or {})["speech"]
    assert {one["speaker"] for one in segments} == {"channel-0", "channel-1"}
    assert segments == sorted(segments, key=lambda one: one["start_s"])
    assert (run.model, run.audio_s) == ("channels", None)
    assert desk.diarizer.asked == []


def test_where_nobody_speaks_no_model_is_asked(desk: Desk) -> None:
    call_id = desk.call(wav_bytes(silence(3)))
    desk.run(call_id, *FIRST)
    run = desk.stage(call_id, Stage.DIARIZE)
    assert (run.status, run.model) == (StageStatus.DONE, None)
    assert run.output == {"speech": [], "exclusive": []}
    assert desk.diarizer.asked == []
