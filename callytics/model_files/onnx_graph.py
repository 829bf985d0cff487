"""Collects the operators and constants of an ONNX graph that is written by hand; a value is its name."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper, numpy_helper

OPSETS = (helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1))
IR_VERSION = 10

Tensor = NDArray[Any]


class Graph:
    """`prefix` keeps its names apart from those of a graph that it becomes part of."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def constant(self, name: str, value: Tensor) -> str:
        full = f"{self._prefix}{name}"
        if full not in self.constants:
            self.constants[full] = numpy_helper.from_array(np.ascontiguousarray(value), full)
        return full

    def whole(self, *values: int) -> str:
        """A list of whole numbers: axes or a shape."""
        return self.constant("_".join(map(str, ("axes", *values))), np.array(values, np.int64))

    def number(self, value: float) -> str:
        return self.constant(f"number_{value}", np.array(value, np.float32))

    def add(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Append a node; the name of its only output."""
        name = f"{self._prefix}{operator}_{len(self.nodes)}"
        found = output or name
        self.nodes.append(helper.make_node(operator, inputs, [found], name=name, **attributes))
        return found
