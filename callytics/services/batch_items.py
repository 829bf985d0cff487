"""The analysis of one consultation of a batch, as a job."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from callytics.db.batches import AnalysisItems, AnalysisResults, AnalysisRuns
from callytics.db.changes import announce
from callytics.db.jobs import Jobs
from callytics.db.models import AnalysisItem, Job, ShadowRun
from callytics.db.turns import Turns
from callytics.domain.analysis import ANALYSIS_PROMPT_VERSION
from callytics.domain.jobs import JobKind
from callytics.domain.stages import StageStatus
from callytics.errors import CallNotFoundError
from callytics.ports import ChatModel, Computed, Progress, answered_by
from callytics.services import shadow
from callytics.services.analysis import Analysed, AnalysisOptions, analyse
from callytics.services.job_work import End
from callytics.services.quick_summary import render
from callytics.services.shadow import GONE
from callytics.settings import ModelSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class _ToAnalyse:
    conversation: str
    language: str | None
    model: str
    options: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    analysed: Analysed
    conversation: str


class AnalysisWork:
    kind = JobKind.ANALYSIS

    def __init__(
        self, model: Callable[[str], ChatModel], instead: Mapping[str, ModelSettings] | None = None
    ) -> None:
        """`model` gives the chat model of a name, on the server of the configured one.

        `instead` says what another variant takes in place of the model that a run names.
        """
        self._model = model
        self._instead = instead or {}

    def read(self, session: Session, job: Job) -> _ToAnalyse | End:
        """The text, or the turns of the call as they are now, and what the batch's run is done with."""
        item = AnalysisItems(session).get(job.id)
        run = AnalysisRuns(session).get(item.batch_id, item.run_no)
        conversation = item.conversation
        if conversation is None:
            turns = Turns(session).of(item.call_id) if item.call_id else ()
            conversation = render(turns)
            if item.call_id is None:
                return _call_deleted()
        own = self._instead.get(run.model)
        return _ToAnalyse(
            conversation=conversation,
            language=None,
            model=own.model if own else run.model,
            options=own.options if own else run.options,
        )

    def compute(self, inputs: _ToAnalyse, progress: Progress) -> _Found:  # noqa: ARG002
        analysed = _analysed(self._model(inputs.model), inputs)
        return _Found(analysed=analysed, conversation=inputs.conversation)

    def write(self, session: Session, job: Job, done: _Found) -> End:
        item: AnalysisItem = AnalysisItems(session).get(job.id)
        if item.call_id is None and item.conversation is None:
            return _call_deleted()
        found = done.analysed
        AnalysisResults(session).put(
            item.id,
            item.run_no,
            analysis=found.to_json(),
            quality_score=found.analysis.quality_score,
            attempts=job.attempt,
            provider=found.answer.provider,
            model=found.answer.model,
            revision=found.answer.revision,
            prompt_version=ANALYSIS_PROMPT_VERSION,
            seconds=found.seconds,
            prompt_tokens=found.prompt_tokens,
            output_tokens=found.output_tokens,
            cost_usd=found.cost_usd,
        )
        announce(session, item.batch_id)
        # The call's turns may be others by the time that the shadow reads them.
        seen = [done.conversation] if item.conversation is None else None
        return End(hints=shadow.add_of_job(session, job, seen))


class AnalysisRepeat:
    """An analysis once more, with the model of this worker's variant."""

    def __init__(self, model: ChatModel, own: ModelSettings, *, first: str) -> None:
        """`first` is what runs name unless somebody has them done with another model, which says nothing
        of any variant.
        """
        self._model = model
        self._own = own
        self._first = first

    def read(self, session: Session, run: ShadowRun) -> _ToAnalyse | End:
        if not (run.job_id and Jobs(session).is_done(run.job_id, run.main_attempt)):
            return GONE
        item = AnalysisItems(session).get(run.job_id)
        if AnalysisRuns(session).get(item.batch_id, item.run_no).model != self._first:
            return GONE
        conversation = run.input[0] if run.input else item.conversation
        if conversation is None:
            return GONE
        return _ToAnalyse(
            conversation=conversation,
            language=None,
            model=self._own.model,
            options=self._own.options,
        )

    def compute(self, inputs: _ToAnalyse, progress: Progress) -> Computed:  # noqa: ARG002
        found = _analysed(self._model, inputs)
        return Computed(value=found.to_json(), model=answered_by(self._model.info, found.answer))


def _analysed(model: ChatModel, inputs: _ToAnalyse) -> Analysed:
    options = AnalysisOptions.of(inputs.options)
    return analyse(model, inputs.conversation, options, language=inputs.language)


def _call_deleted() -> End:
    problem = CallNotFoundError("The call was deleted before its analysis.")
    return End(status=StageStatus.FAILED, problem=problem)
