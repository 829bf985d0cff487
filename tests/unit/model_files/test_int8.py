"""A graph in 8 bit: close to 32 bit, each token by itself, and the same on every processor."""

from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import TensorProto, helper, numpy_helper

from callytics.model_files.int8 import in_int8, largest_of_columns
from callytics.model_files.onnx_graph import IR_VERSION, OPSETS

RANDOM = np.random.default_rng(0)


def product(weights: Any) -> Any:
    """x (batch, length, inputs) @ `weights`."""
    inputs, outputs = weights.shape
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", "n", inputs])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["b", "n", outputs])],
        [numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph, opset_imports=OPSETS, ir_version=IR_VERSION)


def run(model: Any, x: Any) -> Any:
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]


def test_a_product_stays_within_two_percent_although_tokens_differ_in_size() -> None:
    weights = RANDOM.normal(size=(64, 48)).astype(np.float32)
    sizes = np.array([0.01, 1, 100], np.float32)[:, None]
    x = RANDOM.normal(size=(2, 3, 64)).astype(np.float32) * sizes
    expected, found = x @ weights, run(in_int8(product(weights)), x)
    assert found.shape == (2, 3, 48)
    off = np.linalg.norm(found - expected, axis=-1) / np.linalg.norm(expected, axis=-1)
    assert off.max() < 0.02


def test_a_token_is_the_same_beside_much_larger_ones() -> None:
    model = in_int8(product(RANDOM.normal(size=(64, 48)).astype(np.float32)))
    token = RANDOM.normal(size=(1, 1, 64)).astype(np.float32)
    together = np.concatenate([token, 1000 * token, 0 * token], axis=1)
    np.testing.assert_array_equal(run(model, together)[:, :1], run(model, token))
    assert not run(model, together)[:, 2].any()


def test_bytes_are_added_without_being_cut_off() -> None:
    """Weights of one sign, activations at their largest: the worst for processors that add in 16 bit."""
    weights = np.full((64, 8), 3, np.float32)
    x = np.full((1, 2, 64), 5, np.float32)
    np.testing.assert_allclose(run(in_int8(product(weights)), x), x @ weights, rtol=0.01)


@given(
    arrays(
        np.float32,
        st.tuples(st.integers(1, 9), st.integers(1, 4)),
        elements=st.floats(-9, 9, width=32),
    )
)
def test_neighbours_fit_into_16_bit_together(weights: Any) -> None:
    largest = largest_of_columns(weights)
    numbers = np.rint(weights / np.where(largest == 0, 1, largest) * 127).astype(int)
    padded = np.pad(numbers, ((0, len(numbers) % 2), (0, 0)))
    for sign in (1, -1):
        one = np.clip(sign * padded, 0, None)
        assert (255 * (one[::2] + one[1::2])).max() < 2**15
    assert np.abs(numbers).max() <= 127


@pytest.mark.parametrize("rows", [1, 5])
def test_a_table_is_looked_up_in_bytes(rows: int) -> None:
    table = RANDOM.normal(size=(rows, 16)).astype(np.float32)
    table[0] = 0
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "x"], ["y"])],
        "table",
        [helper.make_tensor_value_info("x", TensorProto.INT64, ["b", "n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["b", "n", 16])],
        [numpy_helper.from_array(table, "table")],
    )
    model = in_int8(helper.make_model(graph, opset_imports=OPSETS, ir_version=IR_VERSION))
    kinds = {one.name: one.data_type for one in model.graph.initializer}
    assert TensorProto.INT8 in kinds.values()
    assert "table" not in kinds
    numbers = np.arange(rows)[None]
    np.testing.assert_allclose(run(model, numbers)[0], table, atol=np.abs(table).max() / 250)
