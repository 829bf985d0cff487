"""The embedded chat engine: a GGUF file behind the OpenAI chat protocol, on the loopback if nothing is said.

`python -m workers.engine --model-path FILE --alias NAME --port 8081`. It stands where vLLM or a hosted
provider stands in production: callers know its base URL and nothing else of it. `GET /health` answers
200 once the model is loaded. It dies with the process that started it.
"""

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from callytics.embedded.launch import die_with_parent

if TYPE_CHECKING:
    import xllamacpp

CONTEXT_TOKENS = 4096
CACHED_PROMPTS_MIB = 512
"""Prompts kept outside of the slots: some 20 conversations of 22 MiB each that go on at the same time.
The library's own choice is 8 GiB."""


def parameters(
    model: Path, *, alias: str, port: int, threads: int, slots: int, host: str = "127.0.0.1"
) -> "xllamacpp.CommonParams":
    """Each of `slots` requests at once has CONTEXT_TOKENS of its own; a longer prompt is refused."""
    import xllamacpp  # noqa: PLC0415 (after the environment is set)

    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.model_alias = {alias}
    params.hostnames = [host]
    params.port = port
    params.n_parallel = slots
    params.n_ctx = CONTEXT_TOKENS * slots
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.cache_ram_mib = CACHED_PROMPTS_MIB
    if slots == 1:
        # Conversations that go on take turns in the slot. As similar ones, since they begin alike, each
        # would throw away the other's rest; as strangers they are put aside. Where there are several
        # slots, similarity finds the one that has read the prompt's fixed part, or the same question.
        params.slot_prompt_similarity = 0.0
    params.verbosity = 1
    # Pages and endpoints that show what others asked.
    params.ui = False
    params.endpoint_slots = False
    return params


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m workers.engine", description=__doc__)
    parser.add_argument("--model-path", type=Path, required=True)
    parser.add_argument("--alias", required=True, help="the model's name in requests and answers")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1", help="address that it listens on")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--slots", type=int, default=1, help="requests at once")
    said = parser.parse_args()
    if not said.model_path.is_file():
        parser.error(f"there is no file {said.model_path}")
    die_with_parent(os.getppid())
    for number in (signal.SIGTERM, signal.SIGINT):
        # The server's own threads never look at Python's handlers.
        signal.signal(number, signal.SIG_DFL)
    # OpenMP's threads spin while they wait for each other. With other models on the same cores each
    # waits for one that has no core: 2 tokens a second instead of 13. Not spinning at all costs a third
    # of an idle machine's 21; so short a spin keeps those, and costs some beside others
    # (docs/measurements.md).
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    serve(
        parameters(
            said.model_path,
            alias=said.alias,
            port=said.port,
            threads=said.threads,
            slots=said.slots,
            host=said.host,
        )
    )


def serve(params: "xllamacpp.CommonParams") -> None:
    """Serve until a signal ends the process; ends it with a reason if the server does not start."""
    import xllamacpp  # noqa: PLC0415

    try:
        server = xllamacpp.Server(params)
    except RuntimeError:
        sys.exit(
            f"{params.model.path} cannot be served on port {params.port}: it is no GGUF file that this"
            " engine knows, or the port is taken."
        )
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    signal.pause()


if __name__ == "__main__":
    main()
