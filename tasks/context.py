"""What this worker process runs its stages with: set once, when its models are loaded."""

from callytics.services.stage import StageContext

_current: list[StageContext] = []


def set_current(context: StageContext) -> None:
    _current[:] = [context]


def current() -> StageContext:
    """Raises LookupError in a process that no worker has prepared."""
    if not _current:
        raise LookupError("This process has no stage context: tasks run in `callytics worker`.")
    return _current[0]
