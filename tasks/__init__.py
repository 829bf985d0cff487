"""Celery tasks: adapters of a few lines between a message and a use case."""
