"""`python -m api`: the API, in as many processes as the settings say."""

import os
import sys
from contextlib import ExitStack
from tempfile import TemporaryDirectory

import uvicorn

from callytics.errors import ConfigurationError
from callytics.settings import ApiSettings, get_settings

COUNTS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Where several processes keep their counts, so that whichever is asked adds them up (api/metrics.py). It is
set before anything is imported that counts."""

FOLLOWERS_GRACE_S = 5
"""Clients that follow events would hold a process open."""


def main(settings: ApiSettings) -> None:
    with ExitStack() as stack:
        if settings.workers > 1:
            folder = TemporaryDirectory(prefix="callytics-api-")
            os.environ[COUNTS_VARIABLE] = stack.enter_context(folder)
        uvicorn.run(
            "api.app:create_app",
            factory=True,
            host=settings.host,
            port=settings.port,
            workers=settings.workers,
            timeout_graceful_shutdown=FOLLOWERS_GRACE_S,
        )


if __name__ == "__main__":
    try:
        main(get_settings().api)
    except ConfigurationError as error:
        sys.exit(error.detail)
