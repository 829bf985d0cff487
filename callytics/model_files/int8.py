"""An ONNX graph in 8 bit: for processors, where it takes a quarter of the memory and half the time.

Each token's activations and each column of a weight have a scale of their own. So nothing has to be
measured beforehand, and a text's label does not depend on the other texts of its batch, as it does
with `quantize_dynamic` of ONNX Runtime, which also changes more of them, and blocks
with a scale each (`MatMulNBits`) are slower than 32 bit where a processor has AVX2 but no VNNI
(docs/measurements.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from callytics.model_files.onnx_graph import IR_VERSION, OPSETS, Graph, Tensor

LEAST_AGREEMENT = 0.99
"""Share of labels that a model in another form must have in common with its original in float32."""

_LARGEST = 127
_CENTRE = 128
"""The byte that stands for 0 among activations."""

_SMALLEST_SCALE = 1e-30
"""For a token whose activations are all 0."""


def in_int8(model: ModelProto) -> ModelProto:
    """`model` with every table that is looked up, and every weight that whole sequences are multiplied
    by, in 8 bit. What is done once a text (`Gemm`: pooler and classifier) stays as it is.
    """
    rewritten = _Rewritten(model)
    for node in model.graph.node:
        rewritten.take(node)
    return rewritten.finish(model)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rows:
    """Activations as bytes, (tokens, width), a scale each token, and the shape that they came in."""

    bytes: str
    scales: str
    shape: str


class _Rewritten(Graph):
    def __init__(self, model: ModelProto) -> None:
        super().__init__("int8.")
        self._old: Mapping[str, Any] = {one.name: one for one in model.graph.initializer}
        self._rows: dict[str, _Rows] = {}

    def take(self, node: Any) -> None:
        if node.op_type == "MatMul" and self._is_matrix(node.input[1]):
            self._multiply(node.input[0], node.input[1], node.output[0])
        elif node.op_type == "Gather" and self._is_matrix(node.input[0]):
            self._look_up(node.input[0], node.input[1], node.output[0])
        else:
            self.nodes.append(node)

    def finish(self, model: ModelProto) -> ModelProto:
        used = {name for node in self.nodes for name in node.input}
        kept = [one for name, one in self._old.items() if name in used]
        graph = helper.make_graph(
            self.nodes,
            model.graph.name,
            model.graph.input,
            model.graph.output,
            [*kept, *self.constants.values()],
        )
        return helper.make_model(graph, opset_imports=OPSETS, ir_version=IR_VERSION)

    def _is_matrix(self, name: str) -> bool:
        one = self._old.get(name)
        return one is not None and one.data_type == TensorProto.FLOAT and len(one.dims) == 2  # noqa: PLR2004

    def _look_up(self, table: str, indices: str, output: str) -> None:
        values = numpy_helper.to_array(self._old[table])
        scales = _not_zero(np.abs(values).max(axis=1, keepdims=True) / _LARGEST)
        numbers = self.constant(table, np.rint(values / scales).astype(np.int8))
        found = self.add("Cast", self.add("Gather", numbers, indices), to=TensorProto.FLOAT)
        found_scales = self.add("Gather", self.constant(f"{table}.scales", scales), indices)
        self.add("Mul", found, found_scales, output=output)

    def _multiply(self, x: str, weight: str, output: str) -> None:
        values = numpy_helper.to_array(self._old[weight])
        scales = _not_zero(largest_of_columns(values) / _LARGEST)
        if x not in self._rows:
            self._rows[x] = self._in_rows(x, len(values))
        rows = self._rows[x]
        product = self.add(
            "MatMulIntegerToFloat",
            rows.bytes,
            self.constant(weight, np.rint(values / scales).astype(np.int8)),
            self.number(1),
            self.constant(f"{weight}.scales", scales),
            self._centre(),
            domain="com.microsoft",
        )
        shape = self.add("Concat", rows.shape, self.whole(values.shape[1]), axis=0)
        self.add("Reshape", self.add("Mul", product, rows.scales), shape, output=output)

    def _in_rows(self, x: str, width: int) -> _Rows:
        flat = self.add("Reshape", x, self.whole(-1, width))
        highest = self.add("ReduceMax", flat, self.whole(1), keepdims=0)
        lowest = self.add("Neg", self.add("ReduceMin", flat, self.whole(1), keepdims=0))
        largest = self.add("Max", highest, lowest, self.number(_SMALLEST_SCALE))
        scales = self.add("Mul", largest, self.number(1 / _LARGEST))
        centres = self.add("Expand", self._centre(), self.add("Shape", scales))
        return _Rows(
            bytes=self.add("QuantizeLinear", flat, scales, centres, axis=0),
            scales=self.add("Unsqueeze", scales, self.whole(1)),
            shape=self.add("Shape", x, start=0, end=-1),
        )

    def _centre(self) -> str:
        return self.constant("centre", np.array(_CENTRE, np.uint8))


def largest_of_columns(weights: Tensor) -> NDArray[np.float32]:
    """What becomes 127 in each column of `weights` (inputs, outputs).

    Processors with AVX2 but without VNNI add the products of two neighbouring inputs in 16 bit, and cut
    off what is too large (`vpmaddubsw`, x86's manual). Neighbours of one sign that add up to 127 at
    most, times a byte of 255, stay below that: so the result is the same everywhere.
    """
    padded = np.pad(weights, ((0, len(weights) % 2), (0, 0)))
    sums = (np.clip(sign * padded, 0, None) for sign in (1, -1))
    together = [(one[::2] + one[1::2]).max(axis=0) for one in sums]
    largest: NDArray[np.float32] = np.maximum(*together)
    return largest


def _not_zero(scales: Tensor) -> NDArray[np.float32]:
    return np.where(scales == 0, np.float32(1), scales).astype(np.float32)
