"""The summary that an agent waits for: asked, answered from the cache, begun in time or not at all."""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from math import ceil
from time import monotonic
from typing import Protocol
from uuid import UUID, uuid4

import structlog
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import statement_by_statement, unit_of_work
from callytics.db.jobs import Jobs
from callytics.db.models import Conversation, Job, ShadowRun, SpokenTurn
from callytics.db.quick_summaries import RECENT, Conversations, QuickSummaries
from callytics.db.routes import variant_for
from callytics.domain import dialogue
from callytics.domain.dialogue import Utterance
from callytics.domain.excerpt import Line
from callytics.domain.job import Priority
from callytics.domain.jobs import JOBS, JobKind
from callytics.domain.routes import key_of
from callytics.domain.summary import PROMPT_VERSION
from callytics.domain.transcript import Role
from callytics.errors import (
    ConversationTooLongError,
    TooManyWaitingError,
    TurnConflictError,
)
from callytics.ports import ChatModel, Computed, Progress, answered_by
from callytics.services import providers, shadow
from callytics.services.job_work import End, JobHint, NotNow
from callytics.services.shadow import GONE
from callytics.services.summary import CheckedSummary, SummaryOptions, read_ahead, summarise
from callytics.settings import ModelSettings, QuickSummarySettings, Settings

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A request. `conversation` None: the turns that were sent before under the same consultation."""

    client_id: UUID
    consultation_id: str
    conversation: str | None
    priority: Priority
    waited_s: float = 0.0
    """Since the request arrived."""
    summary_id: UUID = field(default_factory=uuid4)
    """What the row is to be called, so that who asks can watch it before it is there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """The row that has, or will have, the answer. `hints` is empty for an earlier request's row; a `late`
    one its client is told at once to fetch.
    """

    summary_id: UUID
    late: bool = False
    hints: Sequence[JobHint] = ()


def ask(sessions: sessionmaker[Session], question: Question, settings: Settings) -> Asked:
    """Have the conversation summed up, by the cache if it can.

    Raises TooManyWaitingError, ConversationNotFoundError, ConversationTooLongError.
    """
    quick = settings.quick_summary
    with statement_by_statement(sessions) as session:
        text, conversation_id = _conversation(session, question)
        ahead = conversation_id is not None
        if len(text) > quick.max_chars:
            raise ConversationTooLongError(max_chars=quick.max_chars)
        # By the conversation, if it was read ahead: the engine that read it is to write. Else by the text:
        # asked again, it goes where its answer is.
        variant = variant_for(session, _QUEUE, conversation_id or key_of(text))
        model = settings.models.summarize.like(variant)
        served = settings.model_copy(
            update={"models": settings.models.model_copy(update={"summarize": model})}
        )
        content = _content_hash(text, model, variant, ahead=ahead)
        summaries = QuickSummaries(session)
        left_s = max(0.0, quick.budget_s - question.waited_s)
        found = summaries.standing(
            question.client_id,
            content,
            priority=question.priority,
            variant=variant,
            models=providers.model_names(_TASK, served),
            first=providers.default_order(_TASK, served)[0],
            heeds_choice=not model.answered_apart_from(settings.models.summarize),
            ahead=ahead,
            within=timedelta(seconds=quick.cache_ttl_s),
        )
        if found.same is not None:
            return Asked(summary_id=found.same)
        workers = settings.worker(_QUEUE).concurrency
        each_s = quick.least_s if found.seconds is None else found.seconds
        late = found.before // workers * each_s + each_s > left_s
        if late and found.waiting >= quick.max_waiting:
            raise TooManyWaitingError(retry_after_s=ceil(found.waiting * each_s / workers))
        priority = Priority.LOW if late else question.priority
        summaries.add(
            question.summary_id,
            question.client_id,
            question.consultation_id,
            text,
            content_hash=content,
            priority=priority,
            variant=variant,
            ahead=ahead,
            late=late,
            waited=timedelta(seconds=question.waited_s),
            left=timedelta(seconds=left_s),
        )
    hint = JobHint(
        job_id=question.summary_id, kind=JobKind.QUICK_SUMMARY, priority=priority, variant=variant
    )
    return Asked(summary_id=question.summary_id, late=late, hints=[hint])


def add_turns(
    sessions: sessionmaker[Session],
    client_id: UUID,
    consultation_id: str,
    turns: Sequence[Line],
    *,
    start: int | None,
    max_chars: int,
) -> tuple[Conversation, int]:
    """Add what was just spoken; the conversation and how many turns it has now.

    `start` is the place of the first of these turns, from 0: turns that are there already are then
    left alone. Raises TurnConflictError where they say something else, or where turns are missing.
    """
    with unit_of_work(sessions) as session:
        conversations = Conversations(session)
        conversation = conversations.lock_or_begin(client_id, consultation_id)
        there = conversation.turns
        first = len(there) if start is None else start
        if first > len(there):
            raise TurnConflictError(f"Turns are missing: send them from {len(there)} on.")
        for known, turn in zip(there[first:], turns, strict=False):
            if (known.role, known.text) != (turn.role, turn.text):
                raise TurnConflictError(f"Turn {known.index} was sent before with another content.")
        new = turns[len(there) - first :]
        size = sum(len(turn.text) for turn in there) + sum(len(turn.text) for turn in new)
        if size > max_chars:
            raise ConversationTooLongError(max_chars=max_chars)
        session.add_all(
            SpokenTurn(
                conversation_id=conversation.id,
                index=len(there) + number,
                role=turn.role,
                text=turn.text,
            )
            for number, turn in enumerate(new)
        )
    return conversation, len(there) + len(new)


class Spoken(Protocol):
    """Whatever has a speaker and words."""

    @property
    def role(self) -> Role: ...

    @property
    def text(self) -> str: ...


def render(turns: Iterable[Spoken]) -> str:
    """The conversation as text, one labelled line a turn: what `dialogue.read` reads."""
    return "\n".join(f"{_LABELS[turn.role]}: {' '.join(turn.text.split())}" for turn in turns)


def tidy(session: Session, keep: timedelta) -> None:
    """Forget what was said long ago."""
    QuickSummaries(session).forget(keep)
    Conversations(session).forget(keep)


@dataclass(frozen=True, kw_only=True, slots=True)
class _ToSummarise:
    conversation: str
    ahead: bool
    late: bool
    """Nobody waits any more."""
    deadline: float | None
    """By `time.monotonic`; None: there is none."""


class QuickSummaryWork:
    kind = JobKind.QUICK_SUMMARY

    def __init__(
        self, chat: ChatModel, model: ModelSettings, settings: QuickSummarySettings
    ) -> None:
        self._chat = chat
        self._options = SummaryOptions.of(model.options)
        self._settings = settings
        self._taken: Mapping[bool, deque[float]] = {
            ahead: deque(maxlen=RECENT) for ahead in (False, True)
        }
        """Seconds that the model took lately: conversations as a whole, and those sent ahead."""

    def read(self, session: Session, job: Job) -> _ToSummarise | NotNow:
        """What is to be read; a request that cannot be answered in time any more gives way to others."""
        summaries = QuickSummaries(session)
        row = summaries.to_make(job.id)
        if not row.late and row.left_s < self._needed_s(row.ahead):
            summaries.give_way(job.id)
            job.priority = Priority.LOW
            log.warning("quick_summary_late", job_id=str(job.id))
            return NotNow(delay=timedelta(0), hints=[JobHint.of(job)])
        budget = timedelta(seconds=self._settings.budget_s)
        if row.late and -row.left_s < self._settings.late_after_s and summaries.fresh(budget):
            # What is begun cannot be overtaken: late ones would make those late that could be in time.
            return NotNow(delay=budget)
        return _ToSummarise(
            conversation=row.conversation,
            ahead=row.ahead,
            late=row.late,
            deadline=None if row.late else monotonic() + row.left_s,
        )

    def _needed_s(self, ahead: bool) -> float:  # noqa: FBT001
        """What a summary takes at least: as long as the quickest one lately."""
        return max(self._settings.least_s, min(self._taken[ahead], default=0.0))

    def compute(self, inputs: _ToSummarise, progress: Progress) -> CheckedSummary:  # noqa: ARG002
        said = dialogue.read(inputs.conversation)
        found = summarise(
            self._chat,
            lines_of(said),
            dialogue.language_of(said),
            # Who is late must not make the next one late too.
            replace(self._options, tries=1) if inputs.late else self._options,
            ahead=inputs.ahead,
            deadline=inputs.deadline,
        )
        if found.seconds and inputs.deadline is not None:
            self._taken[inputs.ahead].append(found.seconds)
        return found

    def write(self, session: Session, job: Job, found: CheckedSummary) -> End:
        model = answered_by(self._chat.info, found.answer)
        QuickSummaries(session).store(
            job.id,
            text=found.text,
            provider=found.answer.provider if found.answer else None,
            model=model.name,
            revision=model.revision,
            prompt_version=PROMPT_VERSION,
            seconds=found.seconds,
            prompt_tokens=found.prompt_tokens,
            output_tokens=found.output_tokens,
            cost_usd=found.cost_usd,
            checks=found.checks,
        )
        # Where nobody was asked there is nothing to compare.
        return End(hints=shadow.add_of_job(session, job) if found.answer else ())


class QuickSummaryRepeat:
    """A quick summary once more: with the whole budget, as who asked had it, unless the request was late.

    What was sent ahead is new to this variant's engine: that has all the time that it wants.
    """

    def __init__(
        self, chat: ChatModel, model: ModelSettings, settings: QuickSummarySettings
    ) -> None:
        self._work = QuickSummaryWork(chat, model, settings)
        self._info = chat.info
        self._budget_s = settings.budget_s

    def read(self, session: Session, run: ShadowRun) -> _ToSummarise | End:
        if not (run.job_id and Jobs(session).is_done(run.job_id, run.main_attempt)):
            return GONE
        row = QuickSummaries(session).to_make(run.job_id)
        return _ToSummarise(
            conversation=row.conversation,
            ahead=row.ahead,
            late=row.late,
            deadline=None if row.late or row.ahead else monotonic() + self._budget_s,
        )

    def compute(self, inputs: _ToSummarise, progress: Progress) -> Computed:
        found = self._work.compute(inputs, progress)
        return Computed(value=found, model=answered_by(self._info, found.answer))


class AheadReader:
    """Has the engine read conversations that go on, so that their summary need only be written."""

    def __init__(
        self,
        sessions: sessionmaker[Session],
        chat: ChatModel,
        model: ModelSettings,
        *,
        worth_it: Callable[[], bool] = lambda: True,
    ) -> None:
        """`worth_it`: whether who answers now remembers what it has read."""
        self._sessions = sessions
        self._chat = chat
        self._worth_it = worth_it
        self._options = replace(SummaryOptions.of(model.options), timeout_s=AHEAD_TIMEOUT_S)

    def __call__(self, conversation_id: UUID) -> None:
        """Read the turns so far. Told twice, the engine finds them read."""
        if not self._worth_it():
            return
        with unit_of_work(self._sessions) as session:
            conversation = Conversations(session).get(conversation_id)
            said = dialogue.read(render(conversation.turns)) if conversation else ()
        if said:
            read_ahead(self._chat, lines_of(said), dialogue.language_of(said), self._options)


AHEAD_TIMEOUT_S = 10.0
"""Reading ahead must not hold the engine's place for long: it only saves time."""


def lines_of(said: Iterable[Utterance]) -> tuple[Line, ...]:
    return tuple(Line(role=each.role, text=each.text) for each in said)


def _conversation(session: Session, question: Question) -> tuple[str, UUID | None]:
    """The text, and the conversation whose turns were sent before, if it is one."""
    if question.conversation is not None:
        return question.conversation, None
    found = Conversations(session).find(question.client_id, question.consultation_id)
    return render(found.turns), found.id


def _content_hash(text: str, model: ModelSettings, variant: str, *, ahead: bool) -> str:
    """SHA-256 over all that a summary depends on, the revision that is loaded apart."""
    parts = [text, model.model, PROMPT_VERSION, model.options, ahead, variant]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


_TASK = "slm"
_QUEUE = JOBS[JobKind.QUICK_SUMMARY].queue
_LABELS = {Role.CUSTOMER: "고객", Role.AGENT: "상담사", Role.UNKNOWN: "화자"}
