"""multilingual-e5-small with its head as one ONNX graph, written operator by operator.

So nothing of torch or transformers is needed to make it; int8.py puts it into 8 bit.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onnx import ModelProto, TensorProto, helper
from safetensors.numpy import load_file

from callytics.model_files.onnx_graph import IR_VERSION, OPSETS, Graph, Tensor
from callytics.model_files.sentiment.head import Head


def make_graph(encoder: Path, head: Head | None, *, layers: tuple[int, ...]) -> ModelProto:
    """`input_ids`, `attention_mask` (batch, length) -> `probabilities` (batch, labels).

    `encoder` is a transformers folder of a BertModel. Without a head the output is `features`: the
    means over the tokens after each of `layers`, side by side.
    """
    config = json.loads((encoder / "config.json").read_text("utf-8"))
    graph = _Encoder(config, load_file(encoder / "model.safetensors"))
    output = graph.features(layers)
    if head:
        output = graph.probabilities(output, head)
    return graph.finish(output, "probabilities" if head else "features")


class _Encoder(Graph):
    """BERT, as far as inference goes. `x` is (batch, length, hidden)."""

    def __init__(self, config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._config = config
        self._weights = weights
        self._width = config["hidden_size"] // config["num_attention_heads"]
        mask = self.add("Cast", "attention_mask", to=TensorProto.FLOAT)
        self._seen = self.add("Unsqueeze", mask, self.whole(2))
        self._lengths = self.add("ReduceSum", self._seen, self.whole(1), keepdims=0)
        hidden = self.add("Sub", self.add("Unsqueeze", mask, self.whole(1, 2)), self.number(1))
        self._hide = self.add("Mul", hidden, self.number(1e9))

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

    def finish(self, output: str, name: str) -> ModelProto:
        self.add("Identity", output, output=name)
        inputs = [
            helper.make_tensor_value_info(one, TensorProto.INT64, ["batch", "length"])
            for one in ("input_ids", "attention_mask")
        ]
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", None])]
        graph = helper.make_graph(
            self.nodes, "sentiment", inputs, outputs, [*self.constants.values()]
        )
        return helper.make_model(graph, opset_imports=OPSETS, ir_version=IR_VERSION)

    def _mean(self, x: str) -> str:
        total = self.add("ReduceSum", self.add("Mul", x, self._seen), self.whole(1), keepdims=0)
        return self.add("Div", total, self._lengths)

    def _embed(self) -> str:
        # One token type: its vector is part of every position's.
        first_type = self._weights["embeddings.token_type_embeddings.weight"][0]
        table = self._weights["embeddings.position_embeddings.weight"] + first_type
        length = self.add("Shape", "input_ids", start=1, end=2)
        positions = self.add("Slice", self.constant("positions", table), self.whole(0), length)
        words = self.constant("words", self._weights["embeddings.word_embeddings.weight"])
        found = self.add("Gather", words, "input_ids")
        return self._norm(self.add("Add", found, positions), "embeddings.LayerNorm")

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
        scores = self.add("Mul", self.add("MatMul", query, key), self.number(self._width**-0.5))
        shares = self.add("Softmax", self.add("Add", scores, self._hide), axis=-1)
        mixed = self.add("Transpose", self.add("MatMul", shares, value), perm=[0, 2, 1, 3])
        return self.add("Reshape", mixed, self.whole(0, 0, self._config["hidden_size"]))

    def _heads(self, x: str, order: list[int]) -> str:
        shape = self.whole(0, 0, self._config["num_attention_heads"], self._width)
        return self.add("Transpose", self.add("Reshape", x, shape), perm=order)

    def _norm(self, x: str, name: str) -> str:
        scale = self.constant(f"{name}.weight", self._weights[f"{name}.weight"])
        bias = self.constant(f"{name}.bias", self._weights[f"{name}.bias"])
        return self.add(
            "LayerNormalization", x, scale, bias, axis=-1, epsilon=self._config["layer_norm_eps"]
        )

    def _linear(self, x: str, name: str) -> str:
        weights = self.constant(f"{name}.weight", self._weights[f"{name}.weight"].T)
        bias = self.constant(f"{name}.bias", self._weights[f"{name}.bias"])
        return self.add("Add", self.add("MatMul", x, weights), bias)
