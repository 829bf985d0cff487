"""Works that need no model, for real worker processes: what they do is read from the call's metadata."""

import os
import signal
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from sqlalchemy.orm import Session

from callytics.db.models import Call
from callytics.domain.stages import Stage
from callytics.ports import AudioStore, Computed, Model, ModelInfo, Progress
from callytics.services.stage import StageWork
from callytics.settings import Settings
from tests.support.calls import NoStore


class ScriptedWork:
    """Runs as long as the call's metadata say, and dies where they say so.

    `{"seconds": {"diarize": 2}}` computes for two seconds; `{"die_once": {"diarize": PATH}}` kills the
    process at the first run, which it notes in PATH; `{"marks": DIR}` notes each computation there.
    """

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def read(self, session: Session, call: Call) -> dict[str, Any]:
        return {"call_id": str(call.id), **call.details}

    def compute(self, inputs: dict[str, Any], progress: Progress) -> Computed:
        if marks := inputs.get("marks"):
            with (Path(marks) / f"{inputs['call_id']}-{self.stage}").open("a") as file:
                file.write(f"{os.getpid()}\n")
        if flag := inputs.get("die_once", {}).get(self.stage):
            try:
                Path(flag).touch(exist_ok=False)
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        end = monotonic() + inputs.get("seconds", {}).get(self.stage, 0)
        while monotonic() < end:
            progress(0.5)
            sleep(0.02)
        return Computed(value=None)

    def write(self, session: Session, call: Call, computed: Computed) -> None:
        return None


class ScriptedModel:
    info = ModelInfo(name="scripted", revision="1", device="cpu")

    def warm_up(self) -> None:
        """Nothing to warm."""


class ScriptedWorks:
    """The factory of such works, as a worker process wants one."""

    store: AudioStore = NoStore()

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def needs_model(self, stage: Stage) -> bool:
        return stage is Stage.DIARIZE

    def load(self, stage: Stage) -> Model:
        sleep(float(os.environ.get("CALLYTICS_TEST_LOAD_S", "0")))
        return ScriptedModel()

    def make(self, stage: Stage, model: Model | None) -> StageWork:
        return ScriptedWork(stage)
