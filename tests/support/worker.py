"""`python -m tests.support.worker audio,diarize`: the real worker, with scripted works."""

import sys

from callytics.domain.routes import Lane
from tests.support.works import ScriptedWorks
from workers.app import run

if __name__ == "__main__":
    lanes = [Lane.parse(name) for name in sys.argv[1].split(",")]
    sys.exit(run(lanes, factory=ScriptedWorks, child="tests.support.worker_child"))
