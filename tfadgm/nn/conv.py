"""A convolutional trunk for images: convolutions where one comes in, transposed ones where one goes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfadgm.nn.mlp import MLP, Example
from tfadgm.nn.normalization import BatchNorm, BatchNormMode

FILTERS = 16, 32  # of two layers that halve height and width each
KERNEL = 5


class Conv(MLP):
    """As `MLP`, but an image among the inputs is seen through convolutions, and an image is put out by their transpose.

    Which input, and whether the output, is an image tells the `Example` that its number of units is. All else goes
    through rectified layers as in an `MLP`.

    Arguments as in `MLP`, and

        output: what the output units stand for; an `Example` for the parameters of a distribution of images.

    Examples:
        >>> trunk = Conv(3, input_units=[Example((8, 8, 1)), 2], hidden_units=(8,))
        >>> trunk.build()
        >>> trunk(tf.ones([5, 64]), tf.ones([7, 1, 2])).shape
        TensorShape([7, 5, 3])
    """

    def __init__(
        self,
        output_units: int,
        *,
        input_units: Sequence[int],
        hidden_units: Sequence[int] = (500, 500),
        batch_norm: bool = True,
        output: int | None = None,
        **kwargs: Any,
    ) -> None:
        images = [_image(units) for units in input_units]
        inner = [units if image is None else _features(image) for image, units in zip(images, input_units, strict=True)]
        image_out = _image(output)
        head = output_units if image_out is None else _features(image_out)
        super().__init__(head, input_units=inner, hidden_units=hidden_units, batch_norm=batch_norm, **kwargs)
        self.encoders = {
            str(place): _Encoder(image, batch_norm, name=f"encoder_{place}")
            for place, image in enumerate(images)
            if image is not None
        }
        self.decoder: _Decoder | None = None
        if image_out is not None:
            self.decoder = _Decoder(image_out, output_units // image_out, batch_norm, name="decoder")

    def build(self, *input_shapes: Any) -> None:
        super().build()
        for encoder in self.encoders.values():
            encoder.build()
        if self.decoder is not None:
            self.decoder.build()

    def hidden(self, *inputs: tf.Tensor, bn_mode: BatchNormMode = "average") -> tf.Tensor:
        seen = [
            self.encoders[str(place)](x, bn_mode=bn_mode) if str(place) in self.encoders else x
            for place, x in enumerate(inputs)
        ]
        return super().hidden(*seen, bn_mode=bn_mode)

    def call(self, *inputs: tf.Tensor, bn_mode: BatchNormMode = "average") -> tf.Tensor:
        found = self.head(self.hidden(*inputs, bn_mode=bn_mode))
        return found if self.decoder is None else self.decoder(found, bn_mode=bn_mode)


class _Encoder(keras.layers.Layer):
    """Images [*leading, D] to features [*leading, units] by two strided convolutions."""

    def __init__(self, example: Example, batch_norm: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shape = _hwc(example)
        self.convolutions = [
            keras.layers.Conv2D(filters, KERNEL, 2, "same", use_bias=not batch_norm, name=f"conv_{layer}")
            for layer, filters in enumerate(FILTERS)
        ]
        self.norms = [BatchNorm(name=f"norm_{layer}") for layer in range(len(FILTERS) * batch_norm)]

    def build(self, *input_shapes: Any) -> None:
        channels = self.shape[-1]
        for layer, convolution in enumerate(self.convolutions):
            convolution.build((None, None, None, channels))
            channels = FILTERS[layer]
            if self.norms:
                self.norms[layer].build((None, channels))
        self.built = True

    def call(self, x: tf.Tensor, bn_mode: BatchNormMode = "average") -> tf.Tensor:
        h = tf.reshape(x, [-1, *self.shape])
        for layer, convolution in enumerate(self.convolutions):
            h = tf.nn.relu(_normalized(self.norms, layer, convolution(h), bn_mode))
        return tf.reshape(h, tf.concat([tf.shape(x)[:-1], [h.shape[1] * h.shape[2] * h.shape[3]]], 0))


class _Decoder(keras.layers.Layer):
    """Features [*leading, units] to the parameters of D features, [*leading, parameters * D]."""

    def __init__(self, example: Example, parameters: int, batch_norm: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shape, self.parameters = _hwc(example), parameters
        self.norms = [BatchNorm(name=f"norm_{layer}") for layer in range(2 * batch_norm)]
        self.convolutions = [
            keras.layers.Conv2DTranspose(FILTERS[0], KERNEL, 2, "same", use_bias=not batch_norm, name="transposed_0"),
            keras.layers.Conv2DTranspose(self.shape[-1] * parameters, KERNEL, 2, "same", name="transposed_1"),
        ]

    def build(self, *input_shapes: Any) -> None:
        for layer, convolution in enumerate(self.convolutions):
            convolution.build((None, None, None, (FILTERS[1], FILTERS[0])[layer]))
            if self.norms:
                self.norms[layer].build((None, (FILTERS[1], FILTERS[0])[layer]))
        self.built = True

    def call(self, x: tf.Tensor, bn_mode: BatchNormMode = "average") -> tf.Tensor:
        height, width, channels = self.shape
        h = tf.reshape(x, [-1, _quarter(height), _quarter(width), FILTERS[1]])
        h = tf.nn.relu(_normalized(self.norms, 0, h, bn_mode))
        h = self.convolutions[0](h)[:, : -(-height // 2), : -(-width // 2)]
        h = tf.nn.relu(_normalized(self.norms, 1, h, bn_mode))
        h = self.convolutions[1](h)[:, :height, :width]
        h = tf.transpose(tf.reshape(h, [-1, height * width * channels, self.parameters]), [0, 2, 1])
        return tf.reshape(h, tf.concat([tf.shape(x)[:-1], [self.parameters * height * width * channels]], 0))


def _normalized(norms: list[BatchNorm], layer: int, h: tf.Tensor, bn_mode: BatchNormMode) -> tf.Tensor:
    """h [rows, height, width, channels] normalised by channel, if there are norms."""
    if not norms:
        return h
    flat = norms[layer](tf.reshape(h, [-1, h.shape[-1]]), bn_mode=bn_mode)
    return tf.reshape(flat, tf.shape(h))


def _image(units: int | None) -> Example | None:
    """The units of an image as such; None of anything else."""
    return units if isinstance(units, Example) and len(units.shape) in (2, 3) else None


def _hwc(example: Example) -> tuple[int, int, int]:
    height, width, channels = (*example.shape, 1)[:3]
    return height, width, channels


def _features(example: Example) -> int:
    """How many features two convolutions make of an image."""
    height, width, _ = _hwc(example)
    return _quarter(height) * _quarter(width) * FILTERS[-1]


def _quarter(size: int) -> int:
    """Half of its half, both rounded up."""
    return (size + 3) // 4
