"""What commands that work on the database tell the broker after their commit."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from callytics.cli.console import say

if TYPE_CHECKING:
    from callytics.services.stage import AnyHint
    from callytics.settings import Settings

Tell = Callable[[Sequence["AnyHint"]], None]


def make_tell(settings: "Settings") -> Tell:
    """A function that announces committed work. That nobody hears it is said once, and loses nothing."""
    from callytics.queueing.app import make_celery
    from callytics.queueing.broker import answers
    from callytics.queueing.dispatch import make_send

    app = make_celery(settings, publish_retries=2) if settings.redis_url else None
    send = make_send(app) if app and answers(app) else None
    silent = False

    def tell(hints: Sequence["AnyHint"]) -> None:
        nonlocal silent
        if send is not None:
            send(hints)
        elif hints and not silent:
            silent = True
            say(
                "The broker does not answer. Nothing is lost: the sweeper tells the workers.",
                "yellow",
            )

    return tell
