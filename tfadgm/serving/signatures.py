"""What a client can ask of a served classifier: one table of signatures, and how they are written and asked."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfadgm.serving.runners import Arrays
from tfadgm.serving.servable import FEATURE, Answer, Info, Servable

FEATURES = "features B"  # a tensor of a signature, in the type of the model
ACCEPTED = "accepted"  # of a model with a threshold


@dataclasses.dataclass(frozen=True)
class Signature:
    """What a client can ask. A tensor is its type and axes: B rows, C classes, A units of a, the features.

    FEATURES are those of the model: of a table, a tensor for each column.

    Args:
        method: of a `Servable`, from the inputs in their order to the outputs.
        inputs, outputs: tensors by name. The first input has rows.
        example: a request, of features [N, *features] in the units of the data, their bytes as pixels, and classes [N].
        applies: whether a model has it.
        rpc: how a client asks, "predict" or "classify".
    """

    method: Callable[..., Answer]
    inputs: dict[str, str]
    outputs: dict[str, str]
    example: Callable[..., Arrays]
    applies: Callable[[Info], bool] = lambda info: True
    rpc: str = "predict"

    @property
    def merges(self) -> bool:
        """Whether a server can merge requests, because every input has rows."""
        return all("B" in text.split() for text in self.inputs.values())

    def rows(self, arrays: Arrays, index: np.ndarray) -> Arrays:
        """The rows `index` of a request, from the first again where there are no more."""
        return {
            key: np.take(value, index, 0, mode="wrap") if "B" in self.inputs.get(key, FEATURES).split() else value
            for key, value in arrays.items()
        }


def shapes(tensors: dict[str, str], info: Info, out: bool = False) -> dict[str, tuple[str, list[int]]]:
    """Type and shape of `tensors` of the model that `info` describes, -1 for rows. A time goes `out` in seconds."""
    sizes = {"B": [-1], "C": [len(info["classes"])], "A": [info["auxiliary_units"]], "features": info["feature_shape"]}
    parts: dict[str, list[str]] = {}
    for name, text in tensors.items():
        if name == ACCEPTED and info.get("threshold") is None:
            continue
        if text != FEATURES:
            parts[name] = text.split()
        elif info.get("columns"):
            for column, told in info["columns"].items():
                parts[column] = ["float64" if out and told["kind"] == "date" else told["type"], "B"]
        else:
            parts[name] = [info.get("feature_dtype", "float32"), "B", "features"]
    return {
        name: (kind, [size for axis in axes for size in (sizes[axis] if axis in sizes else [int(axis)])])
        for name, (kind, *axes) in parts.items()
    }


def is_image(shape: Sequence[int]) -> bool:
    """Whether features are an image: [H, W], or [H, W, 1, 3 or 4]."""
    return len(shape) == 2 or (len(shape) == 3 and shape[-1] in (1, 3, 4))


def takes_bytes(info: Info) -> bool:
    """Whether bytes of an image stand for features of the model that `info` describes."""
    return is_image(info["feature_shape"]) and bool(info.get("byte_range", True))


def _given(x: Any) -> Arrays:
    """The features of a request: an array, or the columns of a table."""
    return dict(x) if isinstance(x, dict) else {"x": x}


def strings(values: Iterable[bytes]) -> np.ndarray:
    """An array of bytes objects."""
    return np.array([*values, None], np.object_)[:-1]


def serialized_example(x: np.ndarray) -> bytes:
    """The tf.Example of one row, for the signature `classify`."""
    feature = tf.train.Feature(float_list=tf.train.FloatList(value=x.ravel()))
    return tf.train.Example(features=tf.train.Features(feature={FEATURE: feature})).SerializeToString()


X, IMAGES, BYTES = {"x": FEATURES}, {"images": "uint8 B features"}, {"image_bytes": "string B"}
LABELS = {"label": "int64 B", "seed": "int32 2"}
CLASSES = {"probabilities": "float32 B C", "label": "int64 B", "label_name": "string B", ACCEPTED: "bool B"}
SCORES = {"classes": "string B C", "scores": "float32 B C"}
BOUNDS = {"log_likelihood_bound": "float32 B", "class_log_likelihood_bound": "float32 B C"}

# A new signature is an entry here and a row of the table in docs/serving.md.
SIGNATURES: dict[str, Signature] = {
    "serving_default": Signature(Servable.predict, X, CLASSES, lambda x, pixels, label: _given(x)),
    "score": Signature(
        Servable.score, X, BOUNDS, lambda x, pixels, label: _given(x), lambda info: info["latent_units"] > 0
    ),
    "generate": Signature(
        Servable.generate, LABELS, X,
        lambda x, pixels, label: {"label": label, "seed": np.array([0, 0], np.int32)},
        lambda info: info["latent_units"] > 0,
    ),
    "classify": Signature(
        Servable.classify, {"inputs": "string B"}, SCORES,
        lambda x, pixels, label: {"inputs": strings(map(serialized_example, x))},
        lambda info: not info.get("columns"), rpc="classify",
    ),
    "embed": Signature(
        Servable.embed, X, {"a": "float32 B A"},
        lambda x, pixels, label: _given(x), lambda info: info["auxiliary_units"] > 0,
    ),
    "predict_images": Signature(
        Servable.predict_images, IMAGES, CLASSES,
        lambda x, pixels, label: {"images": pixels}, takes_bytes,
    ),
    "predict_bytes": Signature(
        Servable.predict_bytes, BYTES, CLASSES,
        lambda x, pixels, label: {"image_bytes": strings(map(np.ndarray.tobytes, pixels))},
        takes_bytes,
    ),
}  # fmt: skip


def signatures_of(info: Info) -> dict[str, Signature]:
    """The signatures of the model that `info` describes."""
    return {name: own for name, own in SIGNATURES.items() if own.applies(info)}


def write(servable: Servable, path: Path) -> None:
    """The SavedModel of `servable` at `path`, every weight once."""
    archive, info = keras.export.ExportArchive(), servable.info
    for name, own in signatures_of(info).items():
        specs = [
            tf.TensorSpec([None if size < 0 else size for size in shape], kind, key)
            for key, (kind, shape) in shapes(own.inputs, info).items()
        ]
        archive.add_endpoint(name, functools.partial(_answer, servable, own), input_signature=specs)
    archive.write_out(str(path), verbose=False)


def ask(servable: Servable, name: str, arrays: Arrays) -> Arrays:
    """What the signature `name` of `servable` answers to `arrays`."""
    own = SIGNATURES[name]
    kinds = {key: kind for key, (kind, _) in shapes(own.inputs, servable.info).items()}
    answer = _answer(servable, own, *(tf.constant(arrays[key], kind) for key, kind in kinds.items()))
    return {alias: value.numpy() for alias, value in answer.items()}


def _answer(servable: Servable, own: Signature, *tensors: tf.Tensor) -> Answer:
    """What `own` answers to its inputs in their order; the features of a table are its columns."""
    given = dict(zip(shapes(own.inputs, servable.info), tensors, strict=True))
    if not servable.inputs:
        return own.method(servable, *given.values())
    names = {told["column"]: name for name, told in servable.inputs.items()}
    table = {column: given[name] for column, name in names.items() if name in given}
    answer = own.method(servable, *(table if text == FEATURES else given[key] for key, text in own.inputs.items()))
    found: Answer = {}
    for alias, value in answer.items():
        raw = servable.model.scaling.raw(value) if own.outputs[alias] == FEATURES else None
        found |= {alias: value} if raw is None else {names[column]: cells for column, cells in raw.items()}
    return found
