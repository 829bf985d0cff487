"""The models' runtimes: one file a family, looked up by name and imported only when asked for.

A runtime class has a classmethod `load` (see `Runtime`), an `info`, a `warm_up`, and the methods of
the port that it implements (`callytics/ports.py`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from callytics.domain.providers import task_of
from callytics.domain.stages import PIPELINE
from callytics.errors import ConfigurationError
from callytics.model_files import resolve
from callytics.ports import Model, ProviderBook
from callytics.settings import ModelSettings, Settings


class Runtime(Protocol):
    @classmethod
    def load(
        cls,
        model: ModelSettings,
        *,
        where: Path | str,
        device: str,
        threads: int | None,
        settings: Settings,
    ) -> Model:
        """Load `model` from `where` (a local folder, or a hub id) onto `device` (`cpu` or `cuda`).

        `threads` bounds the CPU threads of its mathematics; None is the library's own choice.
        `settings` is for what belongs to no single model: tokens and addresses.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimeSpec:
    """Where a runtime's class stands, and what its model needs.

    `engine` is the library whose sight of a GPU counts; None: the model is never on a GPU here.
    `files` is False where the model comes with a library or runs on a server.
    """

    target: str
    engine: str | None = None
    files: bool = True


CHAT_RUNTIME = "openai"

RUNTIMES: Mapping[str, RuntimeSpec] = {
    "faster-whisper": RuntimeSpec(
        target="workers.runtimes.faster_whisper:FasterWhisper", engine="ctranslate2"
    ),
    "pyannote": RuntimeSpec(target="workers.runtimes.pyannote:Pyannote", engine="torch"),
    "kiwi": RuntimeSpec(target="workers.runtimes.kiwi:Kiwi", files=False),
    "t5": RuntimeSpec(target="workers.runtimes.t5:T5", engine="torch"),
    "token-classification": RuntimeSpec(
        target="workers.runtimes.token_classification:TokenClassifier", engine="torch"
    ),
    "onnx": RuntimeSpec(target="workers.runtimes.onnx:OnnxClassifier", engine="onnxruntime"),
    "transformers": RuntimeSpec(
        target="workers.runtimes.transformers:TransformersClassifier", engine="torch"
    ),
    CHAT_RUNTIME: RuntimeSpec(target="workers.runtimes.chat:OpenAiChat", files=False),
}


def load(task: str, settings: Settings, book: ProviderBook | None = None) -> Model:
    """The model configured for `task` (a field of ModelsSettings), loaded but not warmed up.

    A chat model's providers are chosen and counted in `book`.

    Raises ConfigurationError for a task without a model, an unknown runtime or a GPU that is not there, and
    ModelUnavailableError where the model's files are missing; a library's own errors pass through.
    """
    model: ModelSettings | None = getattr(settings.models, task, None)
    if model is None:
        raise ConfigurationError(f"There is no model for `{task}`.")
    spec = spec_of(model.runtime)
    if model.runtime == CHAT_RUNTIME:
        from workers.runtimes.providers import ProviderChain  # noqa: PLC0415 (the library of `llm`)

        return ProviderChain.load(task_of(task), settings, book)
    return import_runtime(spec).load(
        model,
        where=resolve(model.model, settings) if spec.files else model.model,
        device=choose_device(model.device, spec.engine),
        threads=_threads(task, settings),
        settings=settings,
    )


def _threads(task: str, settings: Settings) -> int | None:
    """As set for the queue of the stage that the model serves."""
    queue = next((spec.queue for spec in PIPELINE if spec.stage == task), None)
    return settings.worker(queue).threads if queue else None


def spec_of(runtime: str) -> RuntimeSpec:
    try:
        return RUNTIMES[runtime]
    except KeyError:
        known = ", ".join(RUNTIMES)
        raise ConfigurationError(f"No runtime is called `{runtime}`; there are {known}.") from None


def import_runtime(spec: RuntimeSpec) -> type[Runtime]:
    module, _, name = spec.target.partition(":")
    return cast("type[Runtime]", getattr(import_module(module), name))


def choose_device(wanted: str, engine: str | None) -> str:
    """`cpu` or `cuda`; `auto` is the GPU that this process was given, if `engine` can use one."""
    if wanted == "cpu" or engine is None:
        return "cpu"
    if _SEES_CUDA[engine]():
        return "cuda"
    if wanted == "cuda":
        raise ConfigurationError("The model is to run on a GPU, and this process sees none.")
    return "cpu"


# Each worker image carries only its own libraries, and only after its GPU is pinned may one look.


def _ctranslate2_sees_cuda() -> bool:
    import ctranslate2  # noqa: PLC0415

    return bool(ctranslate2.get_cuda_device_count())


def _torch_sees_cuda() -> bool:
    import torch  # noqa: PLC0415

    return torch.cuda.is_available()


def _onnxruntime_sees_cuda() -> bool:
    import onnxruntime  # noqa: PLC0415

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


_SEES_CUDA: Mapping[str, Callable[[], bool]] = {
    "ctranslate2": _ctranslate2_sees_cuda,
    "torch": _torch_sees_cuda,
    "onnxruntime": _onnxruntime_sees_cuda,
}
