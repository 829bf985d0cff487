"""`python -m workers --queues stt`: one worker. The environment is pinned before anything is imported."""

import argparse
import os
import sys

from callytics.domain.routes import Lane
from callytics.domain.stages import Queue
from callytics.errors import CallyticsError
from callytics.settings import get_settings
from workers.pinning import environment


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    parser.add_argument(
        "--queues",
        required=True,
        type=lambda value: [Lane.parse(name) for name in value.split(",")],
        help=f"comma-separated: {', '.join(Queue)}; of a variant, stt.v2",
    )
    lanes = parser.parse_args().queues
    try:
        settings = get_settings().serving(lanes)
        os.environ.update(environment([lane.queue for lane in lanes], settings))
        from workers.app import run  # noqa: PLC0415 (after the pinning)
        from workers.works import Works  # noqa: PLC0415

        return run(lanes, factory=Works, child="workers.child")
    except CallyticsError as error:
        print(error.detail, file=sys.stderr)  # noqa: T201 (nothing is set up yet)
        return 2


if __name__ == "__main__":
    sys.exit(main())
