"""`python -m callytics.embedded`: the stack that `callytics up --detach` leaves running."""

import sys

from callytics.embedded.stack import run_stack
from callytics.embedded.supervisor import Event
from callytics.errors import CallyticsError
from callytics.settings import get_settings


def _say(event: Event) -> None:
    print(f"{event.seconds:7.2f} s  {event.part} {event.state} {event.detail or ''}", flush=True)  # noqa: T201


def main() -> int:
    try:
        return run_stack(get_settings(), on_event=_say)
    except CallyticsError as error:
        print(error.detail, flush=True)  # noqa: T201 (the log is what `up` reads)
        return 1


if __name__ == "__main__":
    sys.exit(main())
