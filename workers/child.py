"""What a pool child imports: the real works to run the tasks with."""

from workers.process import serve_in_children
from workers.works import Works

serve_in_children(Works)
