"""What the graph of an export must hold: the signatures that clients rely on, and nothing a server cannot run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from tfadgm.errors import VerificationError
from tfadgm.serving.signatures import is_image

PYTHON = re.compile(r".*PyFunc.*|NumpyFunction")
RANDOM = re.compile(r"Random(?!Dataset).*|TruncatedNormal|Multinomial|ParameterizedTruncatedNormal|Stateful(Uniform|"
                    r"StandardNormal|TruncatedNormal|RandomBinomial).*|Rng.*")  # fmt: skip

Spec = dict[str, tuple[str, list[int]]]  # name -> dtype and shape


def expect(what: str, received: Any, expected: Any) -> None:
    if received != expected:
        raise VerificationError(f"Expected {what}: {expected}. Received: {received}")


def read_graph(path: Path) -> meta_graph_pb2.MetaGraphDef:
    """The graph of the SavedModel in the folder `path`."""
    return saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes()).meta_graphs[0]


def operations(graph: meta_graph_pb2.MetaGraphDef) -> set[str]:
    """The names of all operations in the graph and its functions."""
    functions = {function.signature.name for function in graph.graph_def.library.function}
    return {node.op for node in _nodes(graph)} - functions


def check_operations(graph: meta_graph_pb2.MetaGraphDef) -> None:
    """No Python, no random state, nothing that asks for XLA."""
    for name in sorted(operations(graph)):
        if PYTHON.fullmatch(name):
            raise VerificationError(f"Expected no operation that calls Python. Received {name}")
        if RANDOM.fullmatch(name):
            raise VerificationError(f"Expected no random state on a server: answers would differ. Received {name}")
    for part in (*_nodes(graph), *graph.graph_def.library.function):
        if "_XlaMustCompile" in part.attr and part.attr["_XlaMustCompile"].b:
            raise VerificationError(f"Expected nothing that must be compiled by XLA. Received {part}"[:300])


def signatures(info: dict[str, Any]) -> dict[str, tuple[Spec, Spec]]:
    """Inputs and outputs of every signature of the model that `info` describes."""
    shape, classes, embedding = info["feature_shape"], len(info["classes"]), info["auxiliary_units"]
    x: Spec = {"x": ("float32", [-1, *shape])}
    predicted: Spec = {
        "probabilities": ("float32", [-1, classes]),
        "label": ("int64", [-1]),
        "label_name": ("string", [-1]),
    }
    scores: Spec = {"log_likelihood_bound": ("float32", [-1]), "class_log_likelihood_bound": ("float32", [-1, classes])}
    found: dict[str, tuple[Spec, Spec]] = {
        "serving_default": (x, predicted),
        "score": (x, scores),
        "generate": ({"label": ("int64", [-1]), "seed": ("int32", [2])}, x),
        "classify": (
            {"inputs": ("string", [-1])},
            {"classes": ("string", [-1, classes]), "scores": ("float32", [-1, classes])},
        ),
    }
    if embedding:
        found["embed"] = x, {"a": ("float32", [-1, embedding])}
    if is_image(tuple(shape)):
        found["predict_images"] = {"images": ("uint8", [-1, *shape])}, predicted
        found["predict_bytes"] = {"image_bytes": ("string", [-1])}, predicted
    return found


def check_signatures(graph: meta_graph_pb2.MetaGraphDef, expected: dict[str, tuple[Spec, Spec]]) -> None:
    """Exactly the expected names, types and shapes."""

    def spec(tensors: Any) -> Spec:
        return {
            name: (tf.dtypes.as_dtype(tensor.dtype).name, [axis.size for axis in tensor.tensor_shape.dim])
            for name, tensor in tensors.items()
        }

    received = {name: (spec(found.inputs), spec(found.outputs)) for name, found in signature_definitions(graph).items()}
    expect("the signatures", sorted(received), sorted(expected))
    for name, (inputs, outputs) in expected.items():
        expect(f"the inputs of {name}", received[name][0], inputs)
        expect(f"the outputs of {name}", received[name][1], outputs)


def stored_numbers(path: Path) -> int:
    """How many float32 numbers the SavedModel stores."""
    reader = tf.train.load_checkpoint(str(path / "variables" / "variables"))
    types = reader.get_variable_to_dtype_map()
    shapes = reader.get_variable_to_shape_map()
    return sum(int(np.prod(shape)) for name, shape in shapes.items() if types[name] == tf.float32)


def content_hash(path: Path) -> str:
    """sha256 of the graph and its variables."""
    digest = hashlib.sha256()
    for file in [path / "saved_model.pb", *sorted((path / "variables").iterdir())]:
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def signature_definitions(graph: meta_graph_pb2.MetaGraphDef) -> dict[str, Any]:
    return {name: value for name, value in graph.signature_def.items() if not name.startswith("__")}


def _nodes(graph: meta_graph_pb2.MetaGraphDef) -> Iterator[node_def_pb2.NodeDef]:
    yield from graph.graph_def.node
    for function in graph.graph_def.library.function:
        yield from function.node_def
