"""Celery tasks: adapters of a few lines between a message and a use case."""

TASK_MODULES = (
    "tasks.preprocess",
    "tasks.diarize",
    "tasks.transcribe",
    "tasks.merge",
    "tasks.punctuate",
    "tasks.sentiment",
    "tasks.summarize",
    "tasks.upkeep",
)
