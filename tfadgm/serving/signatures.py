"""What a server offers of a trained classifier: its signatures, with all preprocessing inside the graph.

A row of a request that cannot be used (not finite, a string of another size, of no class) answers NaN, with label -1
and an empty name. It costs its neighbours nothing, which matters because a server merges the requests of its clients.
"""

from __future__ import annotations

import dataclasses
import math
import struct
from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf

from tfadgm.models import SemiSupervisedModel

PNG = b"\x89PNG\r\n\x1a\n"
PNG_SIZE = 16  # where width and height are, four bytes each
FEATURE = "x"  # of a tf.Example


@dataclasses.dataclass(frozen=True)
class Servable:
    """A model with what its answers need: names of the classes, and the temperature of its probabilities.

    Every method is one signature, of tensors [B, ...] to named tensors [B, ...].
    """

    model: SemiSupervisedModel
    class_names: tuple[str, ...]
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if len(self.class_names) != self.model.classes:
            raise ValueError(f"Expected {self.model.classes} class names. Received: {len(self.class_names)}")
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"Expected a temperature above 0. Received: {self.temperature}")

    @property
    def signatures(self) -> dict[str, tuple[Callable[..., dict[str, tf.Tensor]], list[tf.TensorSpec]]]:
        """Every signature: its method and what it takes."""
        shape = self.model.feature_shape
        x = tf.TensorSpec([None, *shape], tf.float32, name="x")
        found: dict[str, tuple[Callable[..., dict[str, tf.Tensor]], list[tf.TensorSpec]]] = {
            "serving_default": (self.predict, [x]),
            "score": (self.score, [x]),
            "generate": (
                self.generate,
                [tf.TensorSpec([None], tf.int64, name="label"), tf.TensorSpec([2], tf.int32, name="seed")],
            ),
            "classify": (self.classify, [tf.TensorSpec([None], tf.string, name="inputs")]),
        }
        if self.model.auxiliary_units:
            found["embed"] = self.embed, [x]
        if is_image(shape):
            found["predict_images"] = self.predict_images, [tf.TensorSpec([None, *shape], tf.uint8, name="images")]
            found["predict_bytes"] = self.predict_bytes, [tf.TensorSpec([None], tf.string, name="image_bytes")]
        return found

    def write(self, path: Path) -> None:
        """The SavedModel at `path`, every weight once."""
        archive = keras.export.ExportArchive()
        for name, (method, specs) in self.signatures.items():
            archive.add_endpoint(name, method, input_signature=specs)
        archive.write_out(str(path), verbose=False)

    # The signatures.

    def predict(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
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

    def predict_images(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """`predict` of bytes [B, *features], see `byte_units`."""
        return self.predict(tf.cast(images, tf.float32) * self.byte_units())

    def predict_bytes(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """`predict` of strings [B], each a PNG or the bare bytes of one image, row by row."""
        pixels = tf.map_fn(self._pixels, image_bytes, fn_output_signature=tf.float32)
        return self.predict(pixels * self.byte_units())

    def score(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        """How familiar x is: bounds of log p(x) [B] and of log p(x|y) [B, C], nats of the scaled features."""
        x, usable = self._checked(x)
        total, of_classes = self.model.exact_bounds(x)
        return {
            "log_likelihood_bound": _or_nan(usable, total),
            "class_log_likelihood_bound": _or_nan(usable, of_classes),
        }

    def embed(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        """The mean of q(a|x), [B, A]."""
        x, usable = self._checked(x)
        return {"a": _or_nan(usable, self.model.embed(x))}

    def generate(self, label: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Examples [B, *features] of the classes `label` [B]; the same labels and seed [2] give the same ones."""
        known = (label >= 0) & (label < self.model.classes)
        return {"x": _or_nan(known, self.model.generate(tf.where(known, label, 0), seed))}

    def classify(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """TF Serving's Classify: serialized tf.Examples [B] with a float list `x` -> classes and scores [B, C]."""
        units = self.model.scaling.units
        rows = tf.io.parse_example(inputs, {FEATURE: tf.io.RaggedFeature(tf.float32)})[FEATURE]
        fits = tf.equal(rows.row_lengths(), units)
        x = _or_nan(fits, rows.to_tensor(math.nan, shape=[None, units]))
        scores = self.predict(tf.reshape(x, [-1, *self.model.feature_shape]))["probabilities"]
        classes = tf.tile(tf.constant([self.class_names]), [tf.shape(scores)[0], 1])
        return {"classes": classes, "scores": scores}

    def _checked(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """x of the shape that the signature names, which a server does not check, and which rows [B] are finite."""
        x = tf.ensure_shape(x, [None, *self.model.feature_shape])
        return x, tf.reduce_all(tf.math.is_finite(x), list(range(1, len(x.shape))))

    # Images.

    def byte_units(self) -> tf.Tensor | float:
        """What a byte stands for: 255 for the largest intensity of Bernoulli features, else itself."""
        return self.model.scaling.scale.value[0] / 255 if self.model.likelihood == "bernoulli" else 1.0

    def _pixels(self, image: tf.Tensor) -> tf.Tensor:
        """One image [*features] of a string; NaN if it is neither a PNG nor bytes of the right size."""
        shape = self.model.feature_shape
        height, width, channels = (*shape, 1)[:3]
        size = height * width * channels
        head = tf.strings.substr(tf.strings.join([image, b"\0" * (PNG_SIZE + 8)]), 0, PNG_SIZE + 8)
        is_png = (tf.strings.substr(head, 0, len(PNG)) == PNG) & (
            tf.strings.substr(head, PNG_SIZE, 8) == struct.pack(">II", width, height)
        )
        is_raw = tf.strings.length(image) == size

        def png() -> tf.Tensor:
            return tf.reshape(tf.io.decode_png(image, channels), [size])

        def raw() -> tf.Tensor:
            return tf.reshape(tf.io.decode_raw(tf.where(is_raw, image, b"\0" * size), tf.uint8), [size])

        pixels = tf.cast(tf.cond(is_png, png, raw), tf.float32)
        return tf.reshape(tf.where(is_png | is_raw, pixels, math.nan), shape)


def is_image(shape: tuple[int, ...]) -> bool:
    """Whether features are an image: [H, W], or [H, W, 1, 3 or 4]."""
    return len(shape) == 2 or (len(shape) == 3 and shape[-1] in (1, 3, 4))


def _or_nan(usable: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """`values` [B, ...] where `usable` [B], else NaN."""
    shape = tf.concat([tf.shape(usable), tf.ones([tf.rank(values) - 1], tf.int32)], 0)
    return tf.where(tf.reshape(usable, shape), values, math.nan)
