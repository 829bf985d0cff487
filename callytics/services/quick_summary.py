"""The summary that an agent waits for: asked, answered from the cache, begun in time or not at all."""

import hashlib
import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from math import ceil
from time import monotonic
from typing import Protocol
from uuid import UUID

import structlog
from sqlalchemy import func
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import insist, relax, unit_of_work
from callytics.db.jobs import Jobs
from callytics.db.models import Conversation, Job, QuickSummary, SpokenTurn
from callytics.db.quick_summaries import RECENT, Conversations, QuickSummaries
from callytics.domain import dialogue
from callytics.domain.excerpt import Line
from callytics.domain.job import Priority
from callytics.domain.jobs import JOBS, JobKind
from callytics.domain.summary import PROMPT_VERSION
from callytics.domain.transcript import Role
from callytics.errors import (
    ConversationTooLongError,
    TooManyWaitingError,
    TurnConflictError,
)
from callytics.ports import ChatModel, Progress
from callytics.services.job_work import End, JobHint, NotNow
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """The row that has, or will have, the answer; a `late` one its client is told at once to fetch."""

    row: QuickSummary
    cached: bool = False
    hints: Sequence[JobHint] = ()


def ask(sessions: sessionmaker[Session], question: Question, settings: Settings) -> Asked:
    """Have the conversation summed up, by the cache if it can.

    Raises TooManyWaitingError, ConversationNotFoundError, ConversationTooLongError.
    """
    quick = settings.quick_summary
    model = settings.models.summarize
    with unit_of_work(sessions) as session:
        text, ahead = _conversation(session, question)
        if len(text) > quick.max_chars:
            raise ConversationTooLongError(max_chars=quick.max_chars)
        content = _content_hash(text, model, ahead=ahead)
        summaries = QuickSummaries(session)
        left_s = max(0.0, quick.budget_s - question.waited_s)
        same = summaries.same(
            question.client_id,
            content,
            priority=question.priority,
            model=model.model,
            within=timedelta(seconds=quick.cache_ttl_s),
        )
        if same is not None:
            return Asked(row=same, cached=same.text is not None)
        load = summaries.load(question.priority, ahead=ahead)
        workers = settings.worker(_QUEUE).concurrency
        each_s = quick.least_s if load.seconds is None else load.seconds
        late = load.ahead // workers * each_s + each_s > left_s
        if late and load.waiting >= quick.max_waiting:
            raise TooManyWaitingError(retry_after_s=ceil(load.waiting * each_s / workers))
        job = Jobs(session).add(
            JobKind.QUICK_SUMMARY, priority=Priority.LOW if late else question.priority
        )
        now = func.clock_timestamp()
        row = QuickSummary(
            id=job.id,
            job=job,
            client_id=question.client_id,
            consultation_id=question.consultation_id,
            conversation=text,
            ahead=ahead,
            content_hash=content,
            received_at=now - timedelta(seconds=question.waited_s),
            deadline_at=now + timedelta(seconds=left_s),
            late=late,
        )
        session.add(row)
        if not late:
            # Nothing is promised yet: who loses this row to a crash of PostgreSQL gets no answer either.
            relax(session)
    return Asked(row=row, hints=[JobHint.of(job)])


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
    lines: Sequence[Line]
    language: str
    ahead: bool
    deadline: float | None
    """By `time.monotonic`; None where nobody waits any more."""


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
        row, left_s = summaries.to_make(job.id)
        if not row.late and left_s < self._needed_s(row.ahead):
            row.late = True
            job.priority = Priority.LOW
            session.flush()
            insist(session)  # its client is told where to fetch it
            log.warning("quick_summary_late", job_id=str(job.id))
            return NotNow(delay=timedelta(0), hints=[JobHint.of(job)])
        budget = timedelta(seconds=self._settings.budget_s)
        if row.late and -left_s < self._settings.late_after_s and summaries.fresh(budget):
            # What is begun cannot be overtaken: late ones would make those late that could be in time.
            return NotNow(delay=budget)
        return _ToSummarise(
            lines=lines_of(row.conversation),
            language=dialogue.language_of(row.conversation),
            ahead=row.ahead,
            deadline=None if row.late else monotonic() + left_s,
        )

    def _needed_s(self, ahead: bool) -> float:  # noqa: FBT001
        """What a summary takes at least: as long as the quickest one lately."""
        return max(self._settings.least_s, min(self._taken[ahead], default=0.0))

    def compute(self, inputs: _ToSummarise, progress: Progress) -> CheckedSummary:  # noqa: ARG002
        found = summarise(
            self._chat,
            inputs.lines,
            inputs.language,
            # Who is late must not make the next one late too.
            self._options if inputs.deadline else replace(self._options, tries=1),
            ahead=inputs.ahead,
            deadline=inputs.deadline,
        )
        if found.seconds and inputs.deadline is not None:
            self._taken[inputs.ahead].append(found.seconds)
        return found

    def write(self, session: Session, job: Job, found: CheckedSummary) -> End:
        QuickSummaries(session).store(
            job.id,
            text=found.text,
            model=self._chat.info.name,
            revision=self._chat.info.revision,
            prompt_version=PROMPT_VERSION,
            seconds=found.seconds,
            prompt_tokens=found.prompt_tokens,
            output_tokens=found.output_tokens,
            checks=found.checks,
        )
        relax(session)  # what a crash of PostgreSQL undoes is made again
        return End()


class AheadReader:
    """Has the engine read conversations that go on, so that their summary need only be written."""

    def __init__(
        self, sessions: sessionmaker[Session], chat: ChatModel, model: ModelSettings
    ) -> None:
        self._sessions = sessions
        self._chat = chat
        self._options = replace(SummaryOptions.of(model.options), timeout_s=AHEAD_TIMEOUT_S)

    def __call__(self, conversation_id: UUID) -> None:
        """Read the turns so far. Told twice, the engine finds them read."""
        with unit_of_work(self._sessions) as session:
            conversation = Conversations(session).get(conversation_id)
            text = render(conversation.turns) if conversation else ""
        if text:
            read_ahead(self._chat, lines_of(text), dialogue.language_of(text), self._options)


AHEAD_TIMEOUT_S = 10.0
"""Reading ahead must not hold the engine's place for long: it only saves time."""


def lines_of(conversation: str) -> tuple[Line, ...]:
    return tuple(Line(role=said.role, text=said.text) for said in dialogue.read(conversation))


def _conversation(session: Session, question: Question) -> tuple[str, bool]:
    """The text, and whether its turns were sent before."""
    if question.conversation is not None:
        return question.conversation, False
    turns = Conversations(session).find(question.client_id, question.consultation_id).turns
    return render(turns), True


def _content_hash(text: str, model: ModelSettings, *, ahead: bool) -> str:
    """SHA-256 over all that a summary depends on, the revision that is loaded apart."""
    parts = [text, model.model, PROMPT_VERSION, model.options, ahead]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


_QUEUE = JOBS[JobKind.QUICK_SUMMARY].queue
_LABELS = {Role.CUSTOMER: "고객", Role.AGENT: "상담사", Role.UNKNOWN: "화자"}
