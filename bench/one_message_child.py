"""What the pool child of such a worker imports."""

from bench.one_message import OneEachWorks
from workers.process import serve_in_children

serve_in_children(OneEachWorks)
