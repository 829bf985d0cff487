"""What a pool child imports: the tasks, and the real works to run them with."""

import tasks.diarize
import tasks.merge
import tasks.preprocess
import tasks.punctuate
import tasks.sentiment
import tasks.summarize
import tasks.transcribe
import tasks.upkeep  # noqa: F401 (importing registers them)
from workers.process import serve_in_children
from workers.works import Works

serve_in_children(Works)
