"""Six no-op Celery tasks and their worker, with the broker settings of the project: the yardstick."""

import os
import sys
import time

import redis
from celery import Celery, chain

from callytics.queueing.app import make_celery
from callytics.settings import get_settings

DONE = "bench-done"


def make_app() -> Celery:
    settings = get_settings()
    app = make_celery(settings)
    client = redis.Redis.from_url(os.environ["CALLYTICS_REDIS_URL"])

    for number in range(6):

        @app.task(name=f"bench.step{number}", ignore_result=True)  # type: ignore[untyped-decorator]
        def step(*, last: bool, run: str) -> None:
            if last:
                client.rpush(DONE, f"{run} {time.time()}")

    return app


def one_chain(app: Celery, run: str) -> None:
    chain(
        *(
            app.signature(
                f"bench.step{number}",
                kwargs={"last": number == 5, "run": run},
                immutable=True,
                queue="slm",
                priority=3,
                soft_time_limit=120,
                time_limit=135,
            )
            for number in range(6)
        )
    ).apply_async()


if __name__ == "__main__":
    app = make_app()
    app.conf.worker_pool_start_method = "fork"  # the tasks are made in this module
    app.amqp.queues.select(["slm"])
    worker = app.Worker(pool="prefork", concurrency=1, without_gossip=True, without_mingle=True)
    worker.start()
    sys.exit(worker.exitcode)
