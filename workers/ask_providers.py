"""Asks providers for one token each: `python -m workers.ask_providers openai:slm vllm:mlm`.

One JSON object a line; the exit status is 1 if one of them did not answer.
"""

import json
import sys
from contextlib import closing
from typing import Any

from callytics.domain.providers import Outcome
from callytics.errors import ConfigurationError
from callytics.services import providers
from callytics.settings import Settings, get_settings
from workers.runtimes.chat import OpenAiChat, Request

TIMEOUT_S = 30.0
_QUESTION = Request(
    messages=[{"role": "user", "content": "안녕하세요"}], max_tokens=1, temperature=0.0
)


def ask(name: str, task: str, settings: Settings) -> dict[str, Any]:
    """How the provider `name` answers for `task`; `problem` is None if all is well."""
    report: dict[str, Any] = {"provider": name, "task": task, "model": None, "outcome": None}
    try:
        provider = providers.resolve(name, task, settings)
    except ConfigurationError as error:
        return {**report, "seconds": None, "problem": error.detail}
    with closing(OpenAiChat.at(provider, providers.model_of(task, settings), settings)) as chat:
        attempt = chat.attempt(_QUESTION, timeout_s=TIMEOUT_S)
    return {
        **report,
        "model": provider.model,
        "outcome": attempt.outcome.value,
        "seconds": attempt.seconds,
        "problem": None if attempt.outcome is Outcome.OK else attempt.problem,
    }


def main() -> int:
    settings = get_settings()
    failed = False
    for asked in sys.argv[1:]:
        name, _, task = asked.partition(":")
        report = ask(name, task, settings)
        failed = failed or report["problem"] is not None
        print(json.dumps(report, ensure_ascii=False), flush=True)  # noqa: T201
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
