"""Celery: the application, its queues, and how stages are announced to it."""
