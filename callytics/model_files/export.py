"""A sentiment classifier of transformers as ONNX: its graph, its folder, the texts that judge it."""

import inspect
import json
import re
from collections.abc import Mapping
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx
import torch

from callytics.errors import ModelExportError
from callytics.model_files.catalog import CATALOG
from callytics.model_files.sentiment.lines import read_lines
from callytics.model_files.store import ModelDirectory

LEAST_TEXTS = 100

_OPSET = 20

_FIRST_TOKEN_READERS = frozenset({"bert", "electra", "roberta", "xlm-roberta"})
"""Model types whose classifier reads the first token of the last layer and nothing else of it."""


class Format(StrEnum):
    """What an export makes; the name that its folder ends with."""

    ONNX = "onnx"
    INT8 = "int8"


def target_name(model: str, made: Format, directory: ModelDirectory) -> str:
    """The name in `directory` of `model` (a name, folder or hub id) as `made`.

    Raises ModelExportError for one that is taken by something else than an export.
    """
    path = Path(model).expanduser()
    base = path.resolve().name if path.is_dir() else path.name
    name = f"{base}-{made}"
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ModelExportError(
            f"`{model}` gives no name for a folder: name the model's own folder."
        )
    if name in CATALOG:
        raise ModelExportError(
            f"{name} is a model of the catalog: give the original's folder another name."
        )
    if directory.folder(name).exists() and directory.manifest(name) is None:
        raise ModelExportError(f"{directory.folder(name)} is no export: move it away first.")
    return name


def read_texts(file: Path | None) -> tuple[str, ...]:
    """The lines of `file` that say something, each once; None: those that the project ships.

    Raises ModelExportError where they are too few to judge by.
    """
    if file is None:
        return tuple(line.text for name in ("test", "train") for line in read_lines(name))
    try:
        lines = file.read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        raise ModelExportError(f"{file} is not written in UTF-8.") from None
    texts = tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if len(texts) < LEAST_TEXTS:
        raise ModelExportError(
            f"{file} has {len(texts)} different texts; at least {LEAST_TEXTS} are asked for."
        )
    return texts


def make_graph(network: Any) -> onnx.ModelProto:
    """`network` (float32, in eval mode) from its inputs (batch, length) to `logits` (batch, classes)."""
    known = inspect.signature(network.forward).parameters
    names = [one for one in ("input_ids", "attention_mask", "token_type_ids") if one in known]
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}
    hook = _only_first_token(network)
    try:
        program = torch.onnx.export(
            network,
            kwargs={name: torch.ones(2, 7, dtype=torch.int64) for name in names},
            input_names=names,
            output_names=["logits"],
            dynamic_shapes=dict.fromkeys(names, sizes),
            opset_version=_OPSET,
            dynamo=True,
            verbose=False,
        )
    finally:
        if hook:
            hook.remove()
    if program is None:
        raise ModelExportError("torch gave no graph.")
    return program.model_proto


def _only_first_token(network: Any) -> Any:
    """Ends the last layer's work on all tokens but the first right after attention, where no more of
    them is read: for twelve layers one multiplication in sixteen less.
    """
    if network.config.model_type not in _FIRST_TOKEN_READERS:
        return None
    after_attention = network.base_model.encoder.layer[-1].attention.output
    return after_attention.register_forward_pre_hook(
        lambda _, given: tuple(states[:, :1] for states in given)
    )


def write_folder(folder: Path, graph: onnx.ModelProto, tokenizer: Any, config: Any) -> None:
    """Fill `folder` with what the ONNX runtime loads; `config` is the original's."""
    onnx.save(graph, folder / "model.onnx")
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    content = {
        "id2label": config.id2label,
        "max_position_embeddings": config.max_position_embeddings,
        "pad_token_id": tokenizer.pad_token_id,
    }
    _write_config(folder, content)


def note(folder: Path, made_of: Mapping[str, Any]) -> None:
    """Say in the folder's `config.json` what it was made of, and by which versions."""
    content = json.loads((folder / "config.json").read_text("utf-8"))
    versions = {name: version(name) for name in ("torch", "transformers", "onnx", "onnxruntime")}
    _write_config(folder, {**content, "export": {**made_of, "versions": versions}})


def _write_config(folder: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, ensure_ascii=False, indent=2)
    (folder / "config.json").write_text(text + "\n", "utf-8")
