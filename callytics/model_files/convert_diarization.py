"""Makes what the pyannote runtime reads out of the fetched checkpoints. Run by build.py."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from callytics.model_files.campplus import CamPlusPlus

_TOLERANCE = 1e-3
"""Largest difference between an exported voice print and its network's; their values are about 1."""


def build(sources: Mapping[str, Path], target: Path) -> None:
    """The segmentation checkpoint as it is, and CAM++ as ONNX.

    pyannote.audio picks its class for ONNX speaker embeddings by the word `wespeaker` in the path.
    """
    torch.set_num_threads(1)  # several wait for each other on a busy machine: 20 s for 3
    (source,) = sources.values()
    shutil.copyfile(source / "segmentation.bin", target / "segmentation.bin")
    weights = torch.load(source / "campplus.pt", map_location="cpu", weights_only=True)
    _export(CamPlusPlus(weights), target / "wespeaker-campplus.onnx")


def _export(network: CamPlusPlus, target: Path) -> None:
    torch.onnx.export(
        network,
        (torch.randn(2, 300, 80),),
        str(target),
        input_names=["feats"],
        output_names=["embs"],
        dynamic_axes={"feats": {0: "B", 1: "T"}, "embs": {0: "B"}},
        opset_version=17,
        dynamo=False,  # the newer exporter fixes the length that the masks pool over
    )
    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    for frames in (50, 998):
        features = torch.randn(1, frames, 80)
        (exported,) = session.run(["embs"], {"feats": features.numpy()})
        difference = np.abs(exported - network(features).numpy()).max()
        if difference > _TOLERANCE:
            raise ValueError(f"the exported network differs by {difference}")
