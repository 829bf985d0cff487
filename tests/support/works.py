"""Works that need no model, for real worker processes: what they do is read from the call's metadata."""

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import Any, cast
from uuid import UUID

from sqlalchemy.orm import Session, sessionmaker

from callytics.adapters.callback_client import HttpCallbackClient
from callytics.db.models import Call
from callytics.domain.jobs import SHADOWS, JobKind
from callytics.domain.stages import Stage
from callytics.errors import ModelUnavailableError
from callytics.ports import (
    AudioStore,
    ChatModel,
    Computed,
    Message,
    Model,
    ModelInfo,
    Progress,
    SentimentModel,
)
from callytics.services import keys
from callytics.services.batch_items import AnalysisRepeat, AnalysisWork
from callytics.services.call_ending import CallEndedWork
from callytics.services.classifier import Classifier
from callytics.services.delivery import DeliveryWork
from callytics.services.job_work import JobWork
from callytics.services.quick_summary import AheadReader, QuickSummaryRepeat, QuickSummaryWork
from callytics.services.shadow import ShadowWork, StageRepeat
from callytics.services.stage import StageWork
from callytics.settings import Settings
from tests.support.calls import NoStore
from tests.support.chat import ScriptedChat, usual
from tests.support.sentiment import ScriptedSentiment


class ScriptedWork:
    """Runs as long as the call's metadata say, and dies where they say so.

    `{"seconds": {"diarize": 2}}` computes for two seconds; `{"die_once": {"diarize": PATH}}` kills the
    process at the first run, which it notes in PATH; `{"marks": DIR}` notes each computation there;
    `fail_once` fails instead; `{"audio_s": 9}` says that so much audio was worked through.
    A variant whose model has the option `fails` always does.
    """

    def __init__(self, stage: Stage, *, fails: bool = False) -> None:
        self.stage = stage
        self._fails = fails

    def read(self, session: Session, call: Call) -> dict[str, Any]:
        return {"call_id": str(call.id), **call.details}

    def compute(self, inputs: dict[str, Any], progress: Progress) -> Computed:
        if self._fails or _first(inputs.get("fail_once", {}).get(self.stage)):
            raise ModelUnavailableError
        if marks := inputs.get("marks"):
            with (Path(marks) / f"{inputs['call_id']}-{self.stage}").open("a") as file:
                file.write(f"{os.getpid()}\n")
        if _first(inputs.get("die_once", {}).get(self.stage)):
            os.kill(os.getpid(), signal.SIGKILL)
        end = monotonic() + inputs.get("seconds", {}).get(self.stage, 0)
        while monotonic() < end:
            progress(0.5)
            sleep(0.02)
        return Computed(value=None, model=ScriptedModel.info, audio_s=inputs.get("audio_s"))

    def write(self, session: Session, call: Call, computed: Computed) -> None:
        return None


def _first(flag: str | None) -> bool:
    """Whether somebody asks and nobody was here before, which the file `flag` notes."""
    if flag is None:
        return False
    try:
        Path(flag).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


class ScriptedModel:
    info = ModelInfo(name="scripted", revision="1", device="cpu")

    def warm_up(self) -> None:
        """Nothing to warm."""


class ScriptedWorks:
    """The factory of such works, as a worker process wants one."""

    store: AudioStore = NoStore()

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def needs_model(self, name: str) -> bool:
        return name in {Stage.DIARIZE, Stage.SENTIMENT, "analyse"}

    def load(self, name: str, sessions: sessionmaker[Session]) -> Model:
        sleep(float(os.environ.get("CALLYTICS_TEST_LOAD_S", "0")))
        if name == Stage.SENTIMENT:
            return ScriptedSentiment()
        return ScriptedModel() if name == Stage.DIARIZE else ScriptedChat(slowly)

    def make(self, stage: Stage, model: Model | None) -> StageWork:
        block = getattr(self._settings.models, stage, None)
        return ScriptedWork(stage, fails=bool(block and block.options.get("fails")))

    def make_job(self, kind: JobKind, models: Mapping[str, Model]) -> JobWork:
        """The real works, with models that answer at once."""
        settings = self._settings
        makers: Mapping[JobKind, Callable[[], JobWork]] = {
            JobKind.QUICK_SUMMARY: lambda: QuickSummaryWork(
                ScriptedChat(), settings.models.summarize, settings.quick_summary
            ),
            JobKind.ANALYSIS: lambda: AnalysisWork(cast("ScriptedChat", models["analyse"]).named),
            JobKind.CALL_ENDED: lambda: CallEndedWork(settings),
            JobKind.DELIVERY: lambda: DeliveryWork(
                HttpCallbackClient(settings.callbacks),
                keys.make_cipher(settings),
                settings.callbacks,
            ),
            JobKind.SHADOW_QUICK_SUMMARY: lambda: ShadowWork(
                JobKind.SHADOW_QUICK_SUMMARY,
                QuickSummaryRepeat(
                    ScriptedChat(), settings.models.summarize, settings.quick_summary
                ),
            ),
            JobKind.SHADOW_ANALYSIS: lambda: ShadowWork(
                JobKind.SHADOW_ANALYSIS,
                AnalysisRepeat(
                    cast("ScriptedChat", models["analyse"]),
                    settings.models.analyse,
                    first=settings.models.analyse.model,
                ),
            ),
            **{kind: partial(self._shadow, stage) for stage, kind in SHADOWS.items()},
        }
        return makers[kind]()

    def _shadow(self, stage: Stage) -> JobWork:
        return ShadowWork(SHADOWS[stage], StageRepeat(self.make(stage, None)))

    def make_reader(
        self, sessions: sessionmaker[Session], model: ChatModel
    ) -> Callable[[UUID], None]:
        return AheadReader(sessions, model, self._settings.models.summarize)

    def make_classifier(
        self,
        sessions: sessionmaker[Session],
        model: SentimentModel,
        *,
        worker: str,
        variant: str,
        again: Callable[[str], None],
    ) -> Callable[[], None]:
        return Classifier(
            sessions,
            model,
            self._settings.sentiment,
            worker=worker,
            variant=variant,
            again=again,
        )


def slowly(messages: Sequence[Message], schema: Mapping[str, Any] | None) -> str:
    """The usual answer, after as long as the environment says."""
    sleep(float(os.environ.get("CALLYTICS_TEST_ANSWER_S", "0")))
    return usual(messages, schema)
