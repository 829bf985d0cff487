"""The beat process. Two of them do no harm: what they ask for is idempotent."""

from typing import Any

import structlog
from celery import signals

from beat.schedule import schedule
from callytics.logs import configure
from callytics.queueing.app import make_celery
from callytics.settings import Settings, get_settings

log = structlog.get_logger(__name__)


def main() -> None:
    settings = get_settings()
    configure(settings)
    app = make_celery(settings)
    app.conf.beat_schedule = schedule(settings)
    app.conf.beat_max_loop_interval = min(
        5.0, settings.pipeline.sweep_every_s, settings.batch.tick_every_s
    )
    note_what_is_sent(settings)
    # The scheduler that remembers nothing: every entry is idempotent and frequent.
    app.Beat(scheduler="celery.beat:Scheduler", quiet=True, loglevel=settings.log_level).run()


def note_what_is_sent(settings: Settings) -> None:
    """From now on `beat_file` is as old as the last message of this process that the broker took."""

    @signals.after_task_publish.connect(weak=False)  # type: ignore[untyped-decorator]
    def note(**_: Any) -> None:
        try:
            settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            settings.beat_file.touch()
        except OSError as error:
            # Beat goes on; `callytics health beat` finds an old file, or none.
            log.warning("beat_not_noted", error=type(error).__name__)
