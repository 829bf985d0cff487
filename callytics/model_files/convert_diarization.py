"""Makes what the pyannote runtime reads out of the fetched checkpoints. Run by build.py."""

import shutil
from collections.abc import Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import torch


def build(sources: Mapping[str, Path], target: Path) -> None:
    """The segmentation checkpoint as it is, and CAM++ as ONNX.

    pyannote.audio picks its class for ONNX speaker embeddings by the word `wespeaker` in the path.
    """
    (source,) = sources.values()
    shutil.copyfile(source / "segmentation.bin", target / "segmentation.bin")
    _export_campplus(source, target / "wespeaker-campplus.onnx")


def _export_campplus(source: Path, target: Path) -> None:
    weights = torch.load(source / "campplus.pt", map_location="cpu", weights_only=True)
    network = _network_module(source / "campplus.py").CAMPPlus(feat_dim=80, embedding_size=192)
    network.load_state_dict(weights)
    network.eval()
    torch.onnx.export(
        network,
        (torch.randn(2, 300, 80),),
        str(target),
        input_names=["feats"],
        output_names=["embs"],
        dynamic_axes={"feats": {0: "B", 1: "T"}, "embs": {0: "B"}},
        opset_version=17,
        dynamo=False,  # the newer exporter cannot follow this network's pooling of varying length
    )


def _network_module(path: Path) -> Any:
    """The network's definition; fetch.py has checked that its bytes are the known ones."""
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(path.name)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
