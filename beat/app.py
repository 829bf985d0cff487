"""The beat process. Two of them do no harm: what they ask for is idempotent."""

from beat.schedule import schedule
from callytics.logs import configure
from callytics.queueing.app import make_celery
from callytics.settings import get_settings


def main() -> None:
    settings = get_settings()
    configure(settings)
    app = make_celery(settings)
    app.conf.beat_schedule = schedule(settings)
    app.conf.beat_max_loop_interval = min(
        5.0, settings.pipeline.sweep_every_s, settings.batch.tick_every_s
    )
    # The scheduler that remembers nothing: every entry is idempotent and frequent.
    app.Beat(scheduler="celery.beat:Scheduler", quiet=True, loglevel=settings.log_level).run()
