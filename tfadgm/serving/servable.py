"""A trained classifier as a server has it: what each signature answers, with all preprocessing inside the graph.

A row of a request that cannot be used (not finite, a string of another size, of no class) answers NaN, with label -1
and an empty name. It costs its neighbours nothing, which matters because a server merges the requests of its clients.
"""

from __future__ import annotations

import dataclasses
import math
import re
import struct
from typing import Any

import numpy as np
import tensorflow as tf

from tfadgm.errors import InputError
from tfadgm.nn.images import HEAD, PNG, decode, is_readable

FEATURE = "x"  # of a tf.Example

Info = dict[str, Any]  # what model_info.json tells of a model
Answer = dict[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Servable:
    """A classifier with what its answers need: names of the classes, and the temperature of its probabilities.

    With a `threshold` it tells which answers are accepted: those of a probability that reaches it.

    Raises:
        InputError: if the names, the temperature or the threshold cannot be used.
    """

    model: Any  # a Classifier, and what SIGNATURES asks for beyond that
    class_names: tuple[str, ...]
    temperature: float = 1.0
    threshold: float | None = None

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
        if self.threshold is not None and not 0 <= self.threshold < math.inf:
            raise InputError(f"Expected a threshold of 0 or more. Received: {self.threshold}")

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
            "threshold": self.threshold,
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

    # What the signatures answer.

    def predict(self, x: tf.Tensor) -> Answer:
        """Calibrated class probabilities [B, C], the most probable class [B], its name [B], if it is accepted [B]."""
        x, usable = self._checked(x)
        probabilities = self.model(x)
        if self.temperature != 1:
            probabilities = tf.nn.softmax(tf.math.log(tf.maximum(probabilities, 1e-30)) / self.temperature)
        label = tf.where(usable, tf.argmax(probabilities, -1), -1)
        names = tf.constant([*self.class_names, ""])
        answer = {
            "probabilities": _or_nan(usable, probabilities),
            "label": label,
            "label_name": tf.gather(names, tf.where(usable, label, len(self.class_names))),
        }
        if self.threshold is not None:
            answer["accepted"] = usable & (tf.reduce_max(probabilities, -1) >= self.threshold)
        return answer

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
