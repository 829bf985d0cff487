"""Imported by the pool's child of a worker with scripted works."""

from tests.support.works import ScriptedWorks
from workers.process import serve_in_children

serve_in_children(ScriptedWorks)
