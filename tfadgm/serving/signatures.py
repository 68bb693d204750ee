"""What a server offers of a trained classifier: one table of signatures, with all preprocessing inside the graph.

A row of a request that cannot be used (not finite, a string of another size, of no class) answers NaN, with label -1
and an empty name. It costs its neighbours nothing, which matters because a server merges the requests of its clients.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import struct
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfadgm.errors import InputError
from tfadgm.nn.images import HEAD, PNG, decode, is_readable
from tfadgm.serving.runners import Arrays

FEATURE = "x"  # of a tf.Example
FEATURES = "features B"  # a tensor of a signature, in the type of the model

Info = dict[str, Any]  # what model_info.json tells of a model
Answer = dict[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Servable:
    """A classifier with what its answers need: names of the classes, and the temperature of its probabilities.

    Raises:
        InputError: if the names or the temperature cannot be used.
    """

    model: Any  # a Classifier, and what SIGNATURES asks for beyond that
    class_names: tuple[str, ...]
    temperature: float = 1.0

    def __post_init__(self) -> None:
        names = self.class_names
        try:
            [name.encode() for name in names]
        except (AttributeError, UnicodeEncodeError) as error:
            raise InputError(f"Expected class names as text. Received: {names}") from error
        if len(names) != self.model.classes:
            raise InputError(f"Expected {self.model.classes} class names. Received: {len(names)}")
        if not 0 < self.temperature < math.inf:
            raise InputError(f"Expected a temperature above 0. Received: {self.temperature}")

    @property
    def info(self) -> Info:
        """What decides which signatures there are, and their shapes."""
        model = self.model
        return {
            "classes": list(self.class_names),
            "feature_shape": list(model.feature_shape),
            "columns": self.inputs,
            "feature_dtype": model.feature_dtype,
            "byte_range": list(self.bytes),
            "auxiliary_units": getattr(model, "auxiliary_units", 0),
            "latent_units": getattr(model, "latent_units", 0),
        }

    @property
    def inputs(self) -> dict[str, dict[str, str]] | None:
        """By the name of each input of a table, its column and type: a graph allows letters, digits, . and _ only."""
        if not self.model.columns:
            return None
        found: dict[str, dict[str, str]] = {}
        kinds = {column["name"]: column["kind"] for column in self.model.columns}
        for column, kind in self.model.scaling.dtypes.items():
            name = base = re.sub(r"[^A-Za-z0-9_.]", "_", column).lstrip("_.") or "column"
            number = 2
            while name in found:
                name, number = f"{base}_{number}", number + 1
            found[name] = {"column": column, "type": kind, "kind": kinds[column]}
        return found

    def write(self, path: Path) -> None:
        """The SavedModel at `path`, every weight once."""
        archive = keras.export.ExportArchive()
        for name, own in signatures_of(self.info).items():
            specs = [
                tf.TensorSpec([None if size < 0 else size for size in shape], kind, key)
                for key, (kind, shape) in shapes(own.inputs, self.info).items()
            ]
            archive.add_endpoint(name, functools.partial(self._answer, own), input_signature=specs)
        archive.write_out(str(path), verbose=False)

    def ask(self, name: str, arrays: Arrays) -> Arrays:
        """What the signature `name` answers to `arrays`."""
        own = SIGNATURES[name]
        kinds = {key: kind for key, (kind, _) in shapes(own.inputs, self.info).items()}
        answer = self._answer(own, *(tf.constant(arrays[key], kind) for key, kind in kinds.items()))
        return {alias: value.numpy() for alias, value in answer.items()}

    def _answer(self, own: Signature, *tensors: tf.Tensor) -> Answer:
        """What `own` answers to its inputs in their order; the features of a table are its columns."""
        given = dict(zip(shapes(own.inputs, self.info), tensors, strict=True))
        if not self.inputs:
            return own.method(self, *given.values())
        names = {told["column"]: name for name, told in self.inputs.items()}
        table = {column: given[name] for column, name in names.items() if name in given}
        answer = own.method(self, *(table if text == FEATURES else given[key] for key, text in own.inputs.items()))
        found: Answer = {}
        for alias, value in answer.items():
            raw = self.model.scaling.raw(value) if own.outputs[alias] == FEATURES else None
            found |= {alias: value} if raw is None else {names[column]: cells for column, cells in raw.items()}
        return found

    # What the signatures answer.

    def predict(self, x: tf.Tensor) -> Answer:
        """Calibrated class probabilities [B, C], the most probable class [B] and its name [B]."""
        x, usable = self._checked(x)
        probabilities = self.model(x)
        if self.temperature != 1:
            probabilities = tf.nn.softmax(tf.math.log(tf.maximum(probabilities, 1e-30)) / self.temperature)
        label = tf.where(usable, tf.argmax(probabilities, -1), -1)
        names = tf.constant([*self.class_names, ""])
        return {
            "probabilities": _or_nan(usable, probabilities),
            "label": label,
            "label_name": tf.gather(names, tf.where(usable, label, len(self.class_names))),
        }

    def predict_images(self, images: tf.Tensor) -> Answer:
        """`predict` of bytes [B, *features], see `byte_range`."""
        return self.predict(self.features(tf.cast(images, tf.float32)))

    def predict_bytes(self, image_bytes: tf.Tensor) -> Answer:
        """`predict` of strings [B], each a PNG or the bare bytes of one image, row by row."""
        pixels = tf.map_fn(self._pixels, image_bytes, fn_output_signature=tf.float32)
        return self.predict(self.features(pixels))

    def score(self, x: tf.Tensor) -> Answer:
        """How familiar x is: bounds of log p(x) [B] and of log p(x|y) [B, C], nats of the scaled features."""
        x, usable = self._checked(x)
        total, of_classes = self.model.exact_elbos(x)
        return {
            "log_likelihood_bound": _or_nan(usable, total),
            "class_log_likelihood_bound": _or_nan(usable, of_classes),
        }

    def embed(self, x: tf.Tensor) -> Answer:
        """The mean of q(a|x), [B, A]."""
        x, usable = self._checked(x)
        return {"a": _or_nan(usable, self.model.embed(x))}

    def generate(self, label: tf.Tensor, seed: tf.Tensor) -> Answer:
        """Examples [B, *features] of the classes `label` [B]; the same labels and seed [2] give the same ones."""
        known = (label >= 0) & (label < self.model.classes)
        return {"x": _or_nan(known, self.model.generate(tf.where(known, label, 0), seed))}

    def classify(self, inputs: tf.Tensor) -> Answer:
        """TF Serving's Classify: serialized tf.Examples [B] with a float list `x` -> classes and scores [B, C]."""
        units = self.model.scaling.units
        rows = tf.io.parse_example(inputs, {FEATURE: tf.io.RaggedFeature(tf.float32)})[FEATURE]
        fits = tf.equal(rows.row_lengths(), units)
        x = _or_nan(fits, rows.to_tensor(math.nan, shape=[None, units]))
        scores = self.predict(tf.reshape(x, [-1, *self.model.feature_shape]))["probabilities"]
        classes = tf.tile(tf.constant([self.class_names]), [tf.shape(scores)[0], 1])
        return {"classes": classes, "scores": scores}

    def _checked(self, x: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """x of the shape that the signature names, which a server does not check, and which rows [B] are finite.

        Of a table the codes, of which any may be missing.
        """
        if self.model.columns:
            codes = self.model.scaling.code(x)
            return codes, tf.ones_like(codes[:, 0], tf.bool)
        x = tf.ensure_shape(x, [None, *self.model.feature_shape])
        return x, tf.reduce_all(tf.math.is_finite(x), list(range(1, len(x.shape))))

    # Images.

    @property
    def bytes(self) -> tuple[float, ...]:
        """What the bytes 0 and 255 stand for; empty if for nothing. A model of version 0.1 does not tell."""
        model = self.model
        if model.byte_range is not None:
            return tuple(model.byte_range)
        with tf.init_scope():
            return (0.0, float(model.scaling.scale[0])) if model.likelihood == "bernoulli" else (0.0, 255.0)

    def features(self, pixels: tf.Tensor) -> tf.Tensor:
        """Pixels of 0 to 255 in the units of the training data."""
        low, high = self.bytes
        return low + pixels * ((high - low) / 255)

    def pixels(self, x: np.ndarray) -> np.ndarray:
        """Features as the nearest bytes."""
        low, high = self.bytes
        return np.rint(np.clip((x - low) * (255 / (high - low)), 0, 255)).astype(np.uint8)

    def _pixels(self, image: tf.Tensor) -> tf.Tensor:
        """One image [*features] of a string; NaN if it is neither an image that the model takes nor bytes of its size.

        A model of image files takes them of any size, others a PNG of their own.
        """
        shape = self.model.feature_shape
        height, width, channels = (*shape, 1)[:3]
        size = height * width * channels
        is_image = is_readable(image)
        if not self.model.resizes:
            head = tf.strings.substr(tf.strings.join([image, b"\0" * HEAD]), 0, HEAD)
            own = PNG + b"\0\0\0\rIHDR" + struct.pack(">II", width, height)
            is_image = tf.strings.substr(head, 0, len(own)) == own
        is_raw = tf.strings.length(image) == size
        pixels = tf.cond(
            is_image,
            lambda: decode(image, [height, width, channels]),
            lambda: tf.reshape(
                tf.cast(tf.io.decode_raw(tf.where(is_raw, image, b"\0" * size), tf.uint8), tf.float32),
                [height, width, channels],
            ),
        )
        return tf.reshape(tf.where(is_image | is_raw, pixels, math.nan), shape)


def _or_nan(usable: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """`values` [B, ...] where `usable` [B], else NaN."""
    shape = tf.concat([tf.shape(usable), tf.ones([tf.rank(values) - 1], tf.int32)], 0)
    return tf.where(tf.reshape(usable, shape), values, math.nan)


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
CLASSES = {"probabilities": "float32 B C", "label": "int64 B", "label_name": "string B"}
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
