"""The Celery application. Settings that surprise carry their reason."""

from typing import Any

from celery import Celery
from kombu import Queue as KombuQueue

from callytics.errors import ConfigurationError
from callytics.queueing.queues import MESSAGE_PRIORITY, ROUTES, SHADOW_PRIORITY
from callytics.settings import Settings, get_settings

KEY_PREFIX = "callytics:"
PRIORITY_STEPS = sorted([*MESSAGE_PRIORITY.values(), SHADOW_PRIORITY])


def make_celery(settings: Settings, *, publish_retries: int = 60) -> Celery:
    """An application for workers, beat and Flower; the API publishes with fewer retries."""
    if settings.redis_url is None:
        raise ConfigurationError(
            "No broker is configured: run `callytics up`, or set CALLYTICS_REDIS_URL."
        )
    app = Celery("callytics", broker=settings.redis_url.get_secret_value())
    app.conf.update(_configuration(settings, publish_retries))
    return app


def _configuration(settings: Settings, publish_retries: int) -> dict[str, Any]:
    return {
        "task_queues": [KombuQueue(queue.value) for queue in sorted(set(ROUTES.values()))],
        "task_routes": {name.value: {"queue": queue.value} for name, queue in ROUTES.items()},
        # A variant's lane (`stt.v2`) may be set up on another machine, of which this process knows
        # only by the route that sends work there.
        "task_create_missing_queues": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_default_priority": MESSAGE_PRIORITY_DEFAULT,
        # Results are rows; immutable chains need no result backend.
        "task_ignore_result": True,
        # A killed child's message comes again at once; the row counts the attempts.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        # Otherwise a time limit loops for ever; retries belong to the row.
        "task_acks_on_failure_or_timeout": True,
        # The visibility timeout also counts the time that a message waits in a worker.
        "worker_prefetch_multiplier": 1,
        "task_publish_retry_policy": {
            "max_retries": publish_retries,
            "interval_start": 0.2,
            "interval_step": 0.5,
            "interval_max": 2,
        },
        "broker_transport_options": {
            "visibility_timeout": settings.pipeline.visibility_timeout_s,
            "priority_steps": PRIORITY_STEPS,
            "queue_order_strategy": "priority",
            # The defaults redeliver what a dead worker held only after 100 s.
            "unacked_restore_interval": 10,
            "unacked_restore_throttle": 1,
            # A dead worker's mutex would block redelivery for 300 s.
            "unacked_mutex_expire": 30,
            # Without these a half-open connection hangs for ever.
            "socket_timeout": 10,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 10,
            "global_keyprefix": KEY_PREFIX,
        },
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_pool_acquire_timeout": 10,
        # CUDA cannot be used in a forked child.
        "worker_pool_start_method": "spawn",
        # 4 s by default: a slow model load would become a loop of fresh children.
        "worker_proc_alive_timeout": 600,
        # On SIGQUIT (SIGTERM is mapped to it): finish for so long, then hand the messages back.
        "worker_soft_shutdown_timeout": 30,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        # Flower.
        "worker_send_task_events": True,
        "task_send_sent_event": True,
        "event_queue_ttl": 60,
    }


MESSAGE_PRIORITY_DEFAULT = 3


def __getattr__(name: str) -> Celery:
    """`callytics.queueing.app:app`, for `celery -A`: made when asked for, not at import."""
    if name != "app":
        raise AttributeError(name)
    return make_celery(get_settings())
