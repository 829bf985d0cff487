"""What each process says of settings that are wrong: a sentence, and nothing of what they hold."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

KEY = "sk-hunter2"
PROCESSES = {
    "workers": ("workers", "--queues", "stt"),
    "beat": ("beat",),
    "api": ("api",),
    "stack": ("callytics.embedded",),
}


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CALLYTICS_PROVIDERS__OPENAI__APIKEY", KEY),
        ("CALLYTICS_PROVIDERS", f'{{"openai": {{"api_key": "{KEY}"'),
    ],
    ids=["misspelled", "no JSON"],
)
def test_wrong_settings_end_a_process_with_a_sentence(
    tmp_path: Path, process: str, name: str, value: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", *PROCESSES[process]],
        env={**os.environ, "CALLYTICS_STATE_DIR": str(tmp_path), name: value},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    told = ended.stdout + ended.stderr
    assert ended.returncode != 0
    assert told.startswith("Wrong settings: ")
    assert "providers" in told.lower()
    assert "Traceback" not in told
    assert KEY not in told
