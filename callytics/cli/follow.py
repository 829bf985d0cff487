"""Follows calls to their end by server-sent events, over broken connections and restarts."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from queue import SimpleQueue
from threading import Thread
from typing import Any

import httpx

from callytics.cli.api import Api
from callytics.cli.problems import CommandError, ExitCode, ProblemError
from callytics.cli.sse import Event
from callytics.domain.job import FINISHED

GIVE_UP_AFTER_S = 60.0
"""A server that answers nothing for so long is taken for gone."""

RETRY_S = 0.5
