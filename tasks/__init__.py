"""Celery tasks: adapters of a few lines between a message and a use case."""

TASK_MODULES = (
    "tasks.preprocess",
    "tasks.diarize",
    "tasks.transcribe",
    "tasks.merge",
    "tasks.punctuate",
    "tasks.sentiment",
    "tasks.classify",
    "tasks.summarize",
    "tasks.quick_summary",
    "tasks.read_ahead",
    "tasks.analyse",
    "tasks.call_ended",
    "tasks.deliver",
    "tasks.diagnose",
    "tasks.shadow",
    "tasks.batches",
    "tasks.upkeep",
)
