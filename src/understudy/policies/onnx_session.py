"""The one file that knows onnx and onnxruntime: graphs as they are, and sessions that run them on one CPU thread."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from understudy.errors import MissingExtra

PART = "obs_"
"""Before the key of a Dict observation's part, in the names of inputs of our own files."""


def open_graph(path: Path, purpose: str) -> Any:
    """The graph as onnx reads it, without weights that lie in other files."""
    return _packages(purpose)[0].load(str(path), load_external_data=False)


def open_session(path: Path, purpose: str) -> Any:
    """An ``InferenceSession``."""
    runtime = _packages(purpose)[1]
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def require_exporter(purpose: str) -> None:
    """Refuse where a package is missing with which PyTorch writes ONNX, or with which the file is tried."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtra(package, "onnx", purpose)


def tidy(path: Path, facts: Mapping[str, str], purpose: str) -> None:
    """Put texts into a file's metadata, in place, call its batch dimension so, and drop what the exporter noted.

    Its notes are stack traces with the paths of the machine at hand, and most of a small file.
    """
    onnx = _packages(purpose)[0]
    model = onnx.load(str(path))
    graph = model.graph
    for noted in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del noted.metadata_props[:]
        noted.doc_string = ""
    del graph.value_info[:]
    for entry in (*graph.input, *graph.output):
        for size in entry.type.tensor_type.shape.dim:
            if size.dim_param:
                size.dim_param = "batch"
    onnx.helper.set_model_props(model, dict(facts))
    onnx.save(model, str(path))


def quantise(path: Path, out: Path, purpose: str) -> None:
    """Write ``path`` anew with weights of 8 bits, and activations that are brought to 8 bits while it runs."""
    _packages(purpose)
    import onnxruntime.quantization as quantization

    # unsigned: the CPU has convolutions of whole numbers for unsigned weights only
    quantization.quantize_dynamic(str(path), str(out), weight_type=quantization.QuantType.QUInt8)


def _packages(purpose: str) -> tuple[Any, Any]:
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        package = "onnxruntime" if "runtime" in str(error) else "onnx"
        raise MissingExtra(package, "onnx", purpose) from None
    return onnx, onnxruntime
