"""Which stage is done by what, and with which model."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from sqlalchemy.orm import Session, sessionmaker

from callytics.adapters.audio_store import ObjectAudioStore
from callytics.adapters.callback_client import HttpCallbackClient
from callytics.adapters.fetch import HttpFetcher
from callytics.domain.jobs import SHADOWS, JobKind
from callytics.domain.stages import Stage
from callytics.ports import ChatModel, Model, Preparer, SentimentModel
from callytics.services import keys
from callytics.services.batch_items import AnalysisRepeat, AnalysisWork
from callytics.services.call_ending import CallEndedWork
from callytics.services.classifier import Classifier
from callytics.services.delivery import DeliveryWork
from callytics.services.diagnosis_jobs import DiagnosisWork
from callytics.services.job_work import JobWork
from callytics.services.providers import ProviderRows
from callytics.services.quick_summary import AheadReader, QuickSummaryRepeat, QuickSummaryWork
from callytics.services.shadow import ShadowWork, StageRepeat
from callytics.services.stage import StageWork
from callytics.services.stages.diarize import Diarize
from callytics.services.stages.merge import Merge
from callytics.services.stages.preprocess import Preprocess
from callytics.services.stages.punctuate import Punctuate
from callytics.services.stages.sentiment import AnalyseSentiment
from callytics.services.stages.summarize import Summarize
from callytics.services.stages.transcribe import Transcribe
from callytics.settings import ModelSettings, Settings, get_settings
from workers.runtimes import load

if TYPE_CHECKING:
    from workers.runtimes.providers import ProviderChain


class Works:
    """The real works. Every stage but merge has a model, which has the stage's name in the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.store = ObjectAudioStore(settings.audio_store_url)
        # Each is given its model, which has the port of that stage (settings.models).
        self._makers: Mapping[Stage, Callable[[Any], StageWork]] = {
            Stage.PREPROCESS: lambda preparer: Preprocess(
                preparer, self.store, HttpFetcher(settings.audio)
            ),
            Stage.DIARIZE: lambda diarizer: Diarize(
                diarizer,
                self.store,
                num_speakers=settings.models.diarize.options.get("num_speakers", 2),
            ),
            Stage.TRANSCRIBE: lambda transcriber: Transcribe(transcriber, self.store),
            Stage.MERGE: lambda _none: Merge(),
            Stage.PUNCTUATE: Punctuate,
            Stage.SENTIMENT: AnalyseSentiment,
            Stage.SUMMARIZE: lambda chat: Summarize(chat, settings.models.summarize),
        }
        self._job_makers: Mapping[JobKind, Callable[[Mapping[str, Any]], JobWork]] = {
            JobKind.QUICK_SUMMARY: lambda chats: QuickSummaryWork(
                chats["summarize"], settings.models.summarize, settings.quick_summary
            ),
            JobKind.ANALYSIS: lambda chats: AnalysisWork(
                chats["analyse"].named, self._of_this_variant()
            ),
            JobKind.CALL_ENDED: lambda _none: CallEndedWork(settings),
            JobKind.DELIVERY: lambda _none: DeliveryWork(
                HttpCallbackClient(settings.callbacks),
                keys.make_cipher(settings),
                settings.callbacks,
            ),
            JobKind.DIAGNOSIS: lambda chats: DiagnosisWork(chats, settings.models),
            **{kind: self._shadow_of(stage) for stage, kind in SHADOWS.items()},
            JobKind.SHADOW_QUICK_SUMMARY: lambda chats: ShadowWork(
                JobKind.SHADOW_QUICK_SUMMARY,
                QuickSummaryRepeat(
                    chats["summarize"], settings.models.summarize, settings.quick_summary
                ),
            ),
            JobKind.SHADOW_ANALYSIS: lambda chats: ShadowWork(
                JobKind.SHADOW_ANALYSIS,
                AnalysisRepeat(
                    chats["analyse"],
                    settings.models.analyse,
                    first=get_settings().models.analyse.model,
                ),
            ),
        }

    def needs_model(self, name: str) -> bool:
        """All but merging does; a model that no setting names is done without."""
        return name != Stage.MERGE and getattr(self._settings.models, name, name) is not None

    def load(self, name: str, sessions: sessionmaker[Session]) -> Model:
        if name == Stage.PREPROCESS:
            return self._preparer()
        rows = ProviderRows(sessions, heeds_choice=not self._answered_apart(name))
        return load(name, self._settings, rows)

    def make(self, stage: Stage, model: Model | None) -> StageWork:
        return self._makers[stage](model)

    def make_job(self, kind: JobKind, models: Mapping[str, Model]) -> JobWork:
        return self._job_makers[kind](models)

    def _answered_apart(self, name: str) -> bool:
        """Whether this worker's variant has a server or an order that is not the first one's."""
        first, own = (
            getattr(models, name, None) for models in (get_settings().models, self._settings.models)
        )
        return first is not None and own is not None and own.answered_apart_from(first)

    def _of_this_variant(self) -> Mapping[str, ModelSettings]:
        """What this worker's variant takes where a batch was closed with the first one's model."""
        first, own = get_settings().models.analyse, self._settings.models.analyse
        return {} if own == first else {first.model: own}

    def _shadow_of(self, stage: Stage) -> Callable[[Mapping[str, Any]], JobWork]:
        return lambda models: ShadowWork(
            SHADOWS[stage], StageRepeat(self.make(stage, models[stage.value]))
        )

    def make_reader(
        self, sessions: sessionmaker[Session], model: ChatModel
    ) -> Callable[[UUID], None]:
        def worth_it() -> bool:
            # What is read for money is not remembered for the next request.
            return cast("ProviderChain", model).engine is not None

        return AheadReader(sessions, model, self._settings.models.summarize, worth_it=worth_it)

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

    def _preparer(self) -> Preparer:
        # Only the worker of this queue has the libraries that these import.
        from workers.runtimes.audio import AudioPreparer  # noqa: PLC0415
        from workers.runtimes.voice_activity import SileroVoiceActivity  # noqa: PLC0415

        return AudioPreparer(
            self._settings.audio, store=self.store, voice_activity=SileroVoiceActivity()
        )
