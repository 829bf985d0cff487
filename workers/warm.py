"""Loads every configured model once and says how it went: `python -m workers.warm [--json]`.

One JSON object a line; the exit status is 1 if one of them did not load.
"""

import json
import sys
from time import monotonic
from typing import Any

from callytics.domain.routes import MODEL_OF
from callytics.errors import CallyticsError
from callytics.settings import Settings, get_settings
from workers.runtimes import load


def warm(task: str, settings: Settings, *, named: str | None = None) -> dict[str, Any]:
    """Load the model of `task` and run it once on a sample; the report calls it `named`."""
    model_name = getattr(settings.models, task).model
    report: dict[str, Any] = {"task": named or task, "model": model_name}
    started = monotonic()
    try:
        model = load(task, settings)
        loaded = monotonic()
        model.warm_up()
    except CallyticsError as error:
        return {**report, "problem": error.as_problem()}
    except Exception as error:
        # No conversation is near, so the library's own words may be shown.
        detail = f"{type(error).__name__}: {error}"
        return {**report, "problem": {"code": "model_unavailable", "detail": detail}}
    return {
        **report,
        "revision": model.info.revision,
        "device": model.info.device,
        "load_seconds": round(loaded - started, 2),
        "warm_seconds": round(monotonic() - loaded, 2),
        "problem": None,
    }


def main() -> int:
    settings = get_settings()
    failed = False
    variants = [
        (MODEL_OF[lane.queue], settings.serving([lane]), f"{MODEL_OF[lane.queue]}.{lane.variant}")
        for lane in settings.models.lanes
    ]
    firsts = [(task, settings, task) for task, model in settings.models if model is not None]
    for task, own, named in [*firsts, *variants]:
        report = warm(task, own, named=named)
        failed = failed or report["problem"] is not None
        print(json.dumps(report, ensure_ascii=False), flush=True)  # noqa: T201
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
