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
from tfadgm.serving.servable import Info
from tfadgm.serving.signatures import shapes, signatures_of

PYTHON = re.compile(r".*PyFunc.*|NumpyFunction")
RANDOM = re.compile(r"Random(?!Dataset).*|TruncatedNormal|Multinomial|ParameterizedTruncatedNormal|Stateful(Uniform|"
                    r"StandardNormal|TruncatedNormal|RandomBinomial).*|Rng.*")  # fmt: skip


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


def check_signatures(graph: meta_graph_pb2.MetaGraphDef, info: Info) -> None:
    """Exactly the names, types and shapes of the model that `info` describes."""
    received, expected = signature_definitions(graph), signatures_of(info)
    expect("the signatures", sorted(received), sorted(expected))
    for name, own in expected.items():
        for what in ("inputs", "outputs"):
            found = {
                alias: (tf.dtypes.as_dtype(tensor.dtype).name, [axis.size for axis in tensor.tensor_shape.dim])
                for alias, tensor in getattr(received[name], what).items()
            }
            expect(f"the {what} of {name}", found, shapes(getattr(own, what), info, what == "outputs"))


def stored_numbers(path: Path) -> int:
    """How many float32 numbers the SavedModel stores."""
    reader = tf.train.load_checkpoint(str(path / "variables" / "variables"))
    types, sizes = reader.get_variable_to_dtype_map(), reader.get_variable_to_shape_map()
    return sum(int(np.prod(size)) for name, size in sizes.items() if types[name] == tf.float32)


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
