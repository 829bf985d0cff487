"""Celery beat: a timetable, nothing else."""
