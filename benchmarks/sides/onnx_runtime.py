"""ONNX Runtime: inference of files that are made here, with `onnx.helper`."""

from __future__ import annotations

from typing import Any

import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from benchmarks.inputs import Array, inputs

from . import Job


def about() -> str:
    """ONNX Runtime's version."""
    return f"ONNX Runtime {onnxruntime.__version__}"


def _nodes(name: str) -> list[Any]:
    def dense(x: str, layer: str, y: str) -> Any:
        return helper.make_node("Gemm", [x, f"{layer}.weight", f"{layer}.bias"], [y])

    def conv(x: str, layer: str, k: int) -> list[Any]:
        return [
            helper.make_node("Conv", [x, f"{layer}.weight", f"{layer}.bias"], [f"conv{k}"]),
            helper.make_node("Relu", [f"conv{k}"], [f"relu{k}"]),
            helper.make_node("MaxPool", [f"relu{k}"], [f"pool{k}"], kernel_shape=[2, 2], strides=[2, 2]),
        ]  # fmt: skip

    relu = lambda x, y: helper.make_node("Relu", [x], [y])
    if name == "infer":
        return [dense("x", "hidden", "z"), relu("z", "h"), dense("h", "output", "y")]
    return [
        *conv("x", "conv1", 1), *conv("pool1", "conv2", 2),
        helper.make_node("Flatten", ["pool2"], ["flat"]),
        dense("flat", "dense1", "z1"), relu("z1", "h1"),
        dense("h1", "dense2", "z2"), relu("z2", "h2"), dense("h2", "output", "y"),
    ]  # fmt: skip


def model_bytes(name: str) -> bytes:
    """A workload's network as an ONNX file, checked."""
    at = inputs(name)
    known = [numpy_helper.from_array(array, key) for key, array in at.weights.items()]
    graph = helper.make_graph(
        _nodes(name),
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(at.x.shape))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [len(at.x), 10])],
        known,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


class _Predict(Job):
    steps = 20

    def __init__(self, name: str, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        providers = ["CPUExecutionProvider"]
        self.session = onnxruntime.InferenceSession(model_bytes(name), options, providers=providers)
        self.x: Array = inputs(name).x

    def call(self) -> None:
        for _ in range(self.steps):
            self.session.run(None, {"x": self.x})

    def losses(self, passes: int) -> list[float]:
        return [float(v) for v in self.session.run(None, {"x": self.x})[0].ravel()]


def job(name: str, threads: int) -> Job:
    """A workload made ready."""
    return _Predict(name, threads)
