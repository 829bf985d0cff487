"""The older paths: one request, answered when the analysis is done. No thread waits meanwhile."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool

from api import openapi
from api.context import ApiContext
from api.deps import AUTH_ERRORS, Caller, Context, IdempotencyHeader, Writer, json_only
from api.errors import kind_of
from api.replies import accepted_reply, as_json
from api.routers.calls import SOURCE_ERRORS, take_in
from api.schemas.calls import CallResult, NewCall, Submitted
from api.submission import get_source
from api.waiting import until_finished
from callytics.db.calls import Calls
from callytics.db.engine import unit_of_work
from callytics.db.models import Call
from callytics.domain.job import JobStatus
from callytics.errors import (
    CallCancelledError,
    ModelsNotReadyError,
    RetryableStageError,
    UnusableAudioError,
)
from callytics.services.health import readiness

RETRY_AFTER_S = 5

router = APIRouter(tags=["synchronous"], dependencies=[Depends(json_only)])
