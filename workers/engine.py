"""The embedded chat engine: a GGUF file behind the OpenAI chat protocol, on the loopback.

`python -m workers.engine --model-path FILE --alias NAME --port 8081`. It stands where vLLM or a hosted
provider stands in production: callers know its base URL and nothing else of it.
"""

import argparse
import os
import signal
from pathlib import Path

import xllamacpp

CONTEXT_TOKENS = 4096


def parameters(
    model: Path, *, alias: str, port: int, threads: int, slots: int
) -> xllamacpp.CommonParams:
    """Each of `slots` requests at once has CONTEXT_TOKENS of its own; a longer prompt is refused."""
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.model_alias = {alias}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_parallel = slots
    params.n_ctx = CONTEXT_TOKENS * slots
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
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
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--slots", type=int, default=1, help="requests at once")
    said = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        # The server's own threads never look at Python's handlers.
        signal.signal(number, signal.SIG_DFL)
    server = xllamacpp.Server(
        parameters(
            said.model_path,
            alias=said.alias,
            port=said.port,
            threads=said.threads,
            slots=said.slots,
        )
    )
    print(server.listening_address, flush=True)  # noqa: T201 (into the engine's log)
    signal.pause()


if __name__ == "__main__":
    main()
