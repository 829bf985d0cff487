"""CAM++, a network that turns speech into a voice print, for export: inference only.

Wang et al., "CAM++: A Fast and Efficient Network for Speaker Verification Using Context-Aware Masking"
(arXiv:2303.00332), with the weights that 3D-Speaker published, by their names there.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

_BLOCKS = ((12, 1), (24, 2), (16, 2))
"""Layers and dilation of each densely connected block."""

_CONTEXT_FRAMES = 100
"""A mask looks at the whole utterance and at segments of this length."""

_IMAGE_RANK = 4


class CamPlusPlus(torch.nn.Module):
    """Filter banks (batch, frames, 80), their mean taken off, to voice prints (batch, 192)."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._weights = weights

    def forward(self, filter_banks: Tensor) -> Tensor:
        frames = self._front(filter_banks.transpose(1, 2).unsqueeze(1))
        frames = self._convolved(frames, "xvector.tdnn.linear", stride=2, padding=2)
        frames = self._activated(frames, "xvector.tdnn.nonlinear")
        for number, (layers, dilation) in enumerate(_BLOCKS, start=1):
            for layer in range(1, layers + 1):
                name = f"xvector.block{number}.tdnnd{layer}"
                frames = torch.cat([frames, self._masked(frames, name, dilation)], dim=1)
            frames = self._activated(frames, f"xvector.transit{number}.nonlinear")
            frames = self._convolved(frames, f"xvector.transit{number}.linear")
        frames = self._activated(frames, "xvector.out_nonlinear")
        statistics = torch.cat([frames.mean(dim=-1), frames.std(dim=-1)], dim=-1)
        voice = self._convolved(statistics.unsqueeze(-1), "xvector.dense.linear")
        return self._normalised(voice, "xvector.dense.nonlinear.batchnorm").squeeze(-1)

    def _front(self, image: Tensor) -> Tensor:
        """A small residual network over time and frequency; frequencies and channels in one."""
        image = self._convolved(image, "head.conv1", padding=1)
        image = self._normalised(image, "head.bn1").relu()
        for layer in ("head.layer1", "head.layer2"):
            image = self._residual(image, f"{layer}.0", stride=(2, 1))
            image = self._residual(image, f"{layer}.1", stride=(1, 1))
        image = self._convolved(image, "head.conv2", stride=(2, 1), padding=1)
        return self._normalised(image, "head.bn2").relu().flatten(1, 2)

    def _residual(self, image: Tensor, name: str, stride: tuple[int, int]) -> Tensor:
        inner = self._convolved(image, f"{name}.conv1", stride=stride, padding=1)
        inner = self._normalised(inner, f"{name}.bn1").relu()
        inner = self._convolved(inner, f"{name}.conv2", padding=1)
        inner = self._normalised(inner, f"{name}.bn2")
        if stride != (1, 1):
            image = self._convolved(image, f"{name}.shortcut.0", stride=stride)
            image = self._normalised(image, f"{name}.shortcut.1")
        return (inner + image).relu()

    def _masked(self, frames: Tensor, name: str, dilation: int) -> Tensor:
        """New channels for a dense block, each weighed by what the context says of it."""
        frames = self._activated(frames, f"{name}.nonlinear1")
        frames = self._convolved(frames, f"{name}.linear1")
        frames = self._activated(frames, f"{name}.nonlinear2")
        local = self._convolved(
            frames, f"{name}.cam_layer.linear_local", padding=dilation, dilation=dilation
        )
        context = frames.mean(dim=-1, keepdim=True) + _segment_means(frames)
        mask = self._convolved(context, f"{name}.cam_layer.linear1").relu()
        return local * self._convolved(mask, f"{name}.cam_layer.linear2").sigmoid()

    def _activated(self, frames: Tensor, name: str) -> Tensor:
        return self._normalised(frames, f"{name}.batchnorm").relu()

    def _convolved(self, signal: Tensor, name: str, **shape: Any) -> Tensor:
        weights = self._weights
        convolve = functional.conv2d if signal.dim() == _IMAGE_RANK else functional.conv1d
        return convolve(signal, weights[f"{name}.weight"], weights.get(f"{name}.bias"), **shape)

    def _normalised(self, signal: Tensor, name: str) -> Tensor:
        weights = self._weights
        return functional.batch_norm(
            signal,
            weights[f"{name}.running_mean"],
            weights[f"{name}.running_var"],
            weights.get(f"{name}.weight"),
            weights.get(f"{name}.bias"),
        )


def _segment_means(frames: Tensor) -> Tensor:
    """Of each frame's segment, in the shape of `frames`."""
    size = _CONTEXT_FRAMES
    means = functional.avg_pool1d(frames, size, stride=size, ceil_mode=True)
    spread = means.unsqueeze(-1).expand(-1, -1, -1, size).flatten(start_dim=2)
    return spread[..., : frames.shape[-1]]
