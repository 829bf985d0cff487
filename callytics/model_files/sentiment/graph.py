"""multilingual-e5-small with its head as one ONNX graph, written operator by operator.

So nothing of torch or transformers is needed to make it, and it is free to keep weights in 8 bit
blocks: 16 weights share a scale, and so do 16 activations when they are multiplied. Whole tensors in
8 bit (ONNX Runtime's `quantize_dynamic`) are quicker but change one label in forty, since a few of
E5's activations are sixty times as large as the rest; and with them a text's label depends on the
other texts of its batch (bench/sentiment.py).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

from callytics.model_files.sentiment.head import Head

_BLOCK = 16
_LARGEST = 120
"""What the largest weight of a block becomes. A multiple of 8, so that weights out of 4 bit files, the
largest of which is 8 steps there, keep their exact values."""

_OPSETS = (helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1))
_IR_VERSION = 10

Tensor = NDArray[Any]


def make_graph(
    encoder: Path, head: Head | None, *, layers: tuple[int, ...], int8: bool
) -> ModelProto:
    """`input_ids`, `attention_mask` (batch, length) -> `probabilities` (batch, labels).

    `encoder` is a transformers folder of a BertModel. Without a head the output is `features`: the
    means over the tokens after each of `layers`, side by side.
    """
    config = json.loads((encoder / "config.json").read_text("utf-8"))
    graph = _Encoder(config, load_file(encoder / "model.safetensors"), int8=int8)
    output = graph.features(layers)
    if head:
        output = graph.probabilities(output, head)
    return graph.finish(output, "probabilities" if head else "features")


class _Graph:
    """Collects operators and constants; a value is known by its name."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}

    def constant(self, name: str, value: Tensor) -> str:
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"{operator}_{len(self._nodes)}"
        node = helper.make_node(operator, inputs, [name], name=name, **attributes)
        self._nodes.append(node)
        return name

    def finish(self, output: str, name: str) -> ModelProto:
        self._nodes.append(helper.make_node("Identity", [output], [name]))
        inputs = [
            helper.make_tensor_value_info(one, TensorProto.INT64, ["batch", "length"])
            for one in ("input_ids", "attention_mask")
        ]
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", None])]
        graph = helper.make_graph(
            self._nodes, "sentiment", inputs, outputs, [*self._constants.values()]
        )
        return helper.make_model(graph, opset_imports=_OPSETS, ir_version=_IR_VERSION)


class _Encoder(_Graph):
    """BERT, as far as inference goes. `x` is (batch, length, hidden)."""

    def __init__(
        self, config: Mapping[str, Any], weights: Mapping[str, Tensor], *, int8: bool
    ) -> None:
        super().__init__()
        self._config = config
        self._weights = weights
        self._int8 = int8
        self._width = config["hidden_size"] // config["num_attention_heads"]
        mask = self.add("Cast", "attention_mask", to=TensorProto.FLOAT)
        self._seen = self.add("Unsqueeze", mask, self._axes(2))
        self._lengths = self.add("ReduceSum", self._seen, self._axes(1), keepdims=0)
        hidden = self.add("Sub", self.add("Unsqueeze", mask, self._axes(1, 2)), self._number(1))
        self._hide = self.add("Mul", hidden, self._number(1e9))

    def features(self, layers: tuple[int, ...]) -> str:
        x, means = self._embed(), []
        for number in range(1, max(layers) + 1):
            x = self._layer(x, f"encoder.layer.{number - 1}.")
            if number in layers:
                means.append(self._mean(x))
        return self.add("Concat", *means, axis=1)

    def probabilities(self, features: str, head: Head) -> str:
        weights, bias = (
            self.constant("head.weights", head.weights),
            self.constant("head.bias", head.bias),
        )
        return self.add("Softmax", self.add("Gemm", features, weights, bias), axis=-1)

    def _mean(self, x: str) -> str:
        total = self.add("ReduceSum", self.add("Mul", x, self._seen), self._axes(1), keepdims=0)
        return self.add("Div", total, self._lengths)

    def _embed(self) -> str:
        # One token type: its vector is part of every position's.
        first_type = self._weights["embeddings.token_type_embeddings.weight"][0]
        table = self._weights["embeddings.position_embeddings.weight"] + first_type
        length = self.add("Shape", "input_ids", start=1, end=2)
        positions = self.add("Slice", self.constant("positions", table), self._axes(0), length)
        return self._norm(self.add("Add", self._look_up_words(), positions), "embeddings.LayerNorm")

    def _look_up_words(self) -> str:
        table = self._weights["embeddings.word_embeddings.weight"]
        if not self._int8:
            return self.add("Gather", self.constant("words", table), "input_ids")
        rows, scales = _in_bytes(table)
        found = self.add("Gather", self.constant("words", rows), "input_ids")
        found_scales = self.add("Gather", self.constant("words.scales", scales), "input_ids")
        return self.add("Mul", self.add("Cast", found, to=TensorProto.FLOAT), found_scales)

    def _layer(self, x: str, name: str) -> str:
        attended = self._linear(
            self._attend(x, f"{name}attention.self."), f"{name}attention.output.dense"
        )
        x = self._norm(self.add("Add", x, attended), f"{name}attention.output.LayerNorm")
        inner = self.add("Gelu", self._linear(x, f"{name}intermediate.dense"))
        return self._norm(
            self.add("Add", x, self._linear(inner, f"{name}output.dense")),
            f"{name}output.LayerNorm",
        )

    def _attend(self, x: str, name: str) -> str:
        query = self._heads(self._linear(x, f"{name}query"), [0, 2, 1, 3])
        key = self._heads(self._linear(x, f"{name}key"), [0, 2, 3, 1])
        value = self._heads(self._linear(x, f"{name}value"), [0, 2, 1, 3])
        scores = self.add("Mul", self.add("MatMul", query, key), self._number(self._width**-0.5))
        shares = self.add("Softmax", self.add("Add", scores, self._hide), axis=-1)
        mixed = self.add("Transpose", self.add("MatMul", shares, value), perm=[0, 2, 1, 3])
        return self.add("Reshape", mixed, self._axes(0, 0, self._config["hidden_size"]))

    def _heads(self, x: str, order: list[int]) -> str:
        shape = self._axes(0, 0, self._config["num_attention_heads"], self._width)
        return self.add("Transpose", self.add("Reshape", x, shape), perm=order)

    def _norm(self, x: str, name: str) -> str:
        scale = self.constant(f"{name}.weight", self._weights[f"{name}.weight"])
        bias = self.constant(f"{name}.bias", self._weights[f"{name}.bias"])
        return self.add(
            "LayerNormalization", x, scale, bias, axis=-1, epsilon=self._config["layer_norm_eps"]
        )

    def _linear(self, x: str, name: str) -> str:
        weights = self._weights[f"{name}.weight"]  # (out, in)
        product = (
            self._multiply_in_blocks(x, name, weights)
            if self._int8
            else self.add("MatMul", x, self.constant(f"{name}.weight", weights.T))
        )
        return self.add(
            "Add", product, self.constant(f"{name}.bias", self._weights[f"{name}.bias"])
        )

    def _multiply_in_blocks(self, x: str, name: str, weights: Tensor) -> str:
        outputs, inputs = weights.shape
        numbers, scales = _in_bytes(weights.reshape(outputs, inputs // _BLOCK, _BLOCK))
        return self.add(
            "MatMulNBits",
            x,
            self.constant(f"{name}.weight", (numbers.astype(np.int16) + 128).astype(np.uint8)),
            self.constant(f"{name}.scales", scales[..., 0]),
            domain="com.microsoft",
            K=inputs,
            N=outputs,
            bits=8,
            block_size=_BLOCK,
            accuracy_level=4,  # multiply in 8 bit
        )

    def _axes(self, *values: int) -> str:
        return self.constant("_".join(map(str, ("axes", *values))), np.array(values, np.int64))

    def _number(self, value: float) -> str:
        return self.constant(f"number_{value}", np.array(value, np.float32))


def _in_bytes(values: Tensor) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """`values` as whole numbers times a scale for each stretch of the last axis."""
    scales = np.abs(values).max(axis=-1, keepdims=True).astype(np.float32) / _LARGEST
    scales[scales == 0] = 1
    return np.rint(values / scales).astype(np.int8), scales
