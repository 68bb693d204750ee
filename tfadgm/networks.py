"""Conditional distributions: one Keras layer each, a trunk of hidden layers and a head.

A layer takes its inputs separately and sums one projection per input in its first layer, which equals a Dense layer
on their concatenation. So inputs broadcast: x of shape [B, D] is projected once and meets y of shape [C, 1, 1, C].
Tensors flow through `call`; `distribution` makes the TFP object at the edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

# What batch normalisation uses: the running averages, the batch, or the batch which then enters the averages.
Statistics = Literal["average", "batch", "update"]

LOG_VARIANCE_BOUND = 8.0  # standard deviations stay within exp(-4) ... exp(4)


class BatchNorm(keras.layers.Layer):
    """Batch normalisation (Ioffe and Szegedy 2015) of [N, units] that is told whose statistics to use.

    Keras's own layer knows training or not; here the labeled stream is normalised by its own batch without entering
    the running averages, which belong to the unlabeled stream.
    """

    def __init__(self, momentum: float = 0.99, epsilon: float = 1e-3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.momentum, self.epsilon = momentum, epsilon

    def build(self, input_shape: tuple) -> None:
        units = input_shape[-1:]
        self.gamma = self.add_weight(shape=units, initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=units, initializer="zeros", name="beta")
        self.mean = self.add_weight(shape=units, initializer="zeros", trainable=False, name="mean")
        self.variance = self.add_weight(shape=units, initializer="ones", trainable=False, name="variance")

    def call(self, x: tf.Tensor, statistics: Statistics = "average") -> tf.Tensor:
        if statistics == "average":
            mean, variance = self.mean.value, self.variance.value
        else:
            mean, variance = tf.nn.moments(x, [0])
        if statistics == "update":
            for average, value in ((self.mean, mean), (self.variance, variance)):
                average.assign(self.momentum * average + (1 - self.momentum) * value)
        scale = self.gamma * tf.math.rsqrt(variance + self.epsilon)
        return x * scale + (self.beta - mean * scale)


class Conditional(keras.layers.Layer):
    """p(output | inputs) with `hidden_units` rectified layers; subclasses say which distribution.

    Args:
        output_units: size of the variable.
        input_units: size of each input, in the order of `call`.
        hidden_units: size of each hidden layer; none gives a linear model.
        batch_norm: normalise every hidden layer before its rectifier.
    """

    parameters: int  # tensors of `output_units` that the distribution needs

    def __init__(
        self,
        output_units: int,
        *,
        input_units: Sequence[int],
        hidden_units: Sequence[int] = (500, 500),
        batch_norm: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.output_units, self.input_units = output_units, tuple(input_units)
        widths = [*hidden_units, self.parameters * output_units]
        self.hidden_width = hidden_units[-1] if hidden_units else widths[-1]  # of what `hidden` gives
        hidden_bias = not batch_norm  # batch normalisation subtracts a bias
        self.projections = [
            keras.layers.Dense(
                widths[0],
                use_bias=index == 0 and (hidden_bias or len(widths) == 1),
                kernel_initializer=_shared_glorot(sum(input_units), widths[0]),
                name=f"projection_{index}",
            )
            for index in range(len(input_units))
        ]
        self.layers = [
            keras.layers.Dense(width, use_bias=hidden_bias or index == len(widths) - 2, name=f"dense_{index}")
            for index, width in enumerate(widths[1:])
        ]
        self.norms = [BatchNorm(name=f"norm_{index}") for index in range(len(hidden_units) * batch_norm)]

    def build(self, *input_shapes: Any) -> None:
        for projection, units in zip(self.projections, self.input_units, strict=True):
            projection.build((None, units))
        width = self.projections[0].units
        for index, layer in enumerate(self.layers):
            layer.build((None, width))
            if self.norms:
                self.norms[index].build((None, width))
            width = layer.units

    def call(self, *inputs: tf.Tensor, statistics: Statistics = "average") -> tf.Tensor:
        """[*leading, parameters * output_units]; the leading axes are those of the inputs, broadcast."""
        return self.head(self.hidden(*inputs, statistics=statistics))

    def hidden(self, *inputs: tf.Tensor, statistics: Statistics = "average") -> tf.Tensor:
        """The last hidden layer, [*leading, units]; of a linear model, what `call` gives."""
        projected = [_rows(layer, x) for layer, x in zip(self.projections, inputs, strict=True)]
        projected.sort(key=lambda term: term.shape.rank)  # small sums first
        h = sum(projected[1:], projected[0])
        leading = tf.shape(h)[:-1]
        h = tf.reshape(h, [-1, h.shape[-1]])  # [rows, units]
        for index in range(len(self.layers)):
            if index:
                h = self.layers[index - 1](h)
            if self.norms:
                h = self.norms[index](h, statistics=statistics)
            h = tf.nn.relu(h)
        return tf.reshape(h, tf.concat([leading, [h.shape[-1]]], 0))

    def head(self, hidden: tf.Tensor) -> tf.Tensor:
        """[*leading, parameters * output_units] by the last hidden layer."""
        return _rows(self.layers[-1], hidden) if self.layers else hidden

    def distribution(self, *inputs: tf.Tensor, statistics: Statistics = "average") -> tfd.Distribution:
        """The distribution of the output given `inputs`, one event of shape [output_units] per leading index."""
        raise NotImplementedError


class Gaussian(Conditional):
    """N(mean, diag exp(log variance)), the log variance bounded smoothly by LOG_VARIANCE_BOUND."""

    parameters = 2

    def distribution(self, *inputs: tf.Tensor, statistics: Statistics = "average") -> tfd.Distribution:
        return self.of(self(*inputs, statistics=statistics))

    @staticmethod
    def of(parameters: tf.Tensor) -> tfd.Distribution:
        """The distribution whose mean and unbounded log variance are `parameters`, side by side."""
        mean, raw = tf.split(parameters, 2, axis=-1)
        log_variance = LOG_VARIANCE_BOUND * tf.tanh(raw / LOG_VARIANCE_BOUND)
        return tfd.Independent(tfd.Normal(mean, tf.exp(0.5 * log_variance)), 1)


class Bernoulli(Conditional):
    """Independent Bernoulli variables. Values between 0 and 1 score as the expectation over their draws."""

    parameters = 1

    def distribution(self, *inputs: tf.Tensor, statistics: Statistics = "average") -> tfd.Distribution:
        return tfd.Independent(tfd.Bernoulli(logits=self(*inputs, statistics=statistics), dtype=tf.float32), 1)


class Categorical(Conditional):
    """One of `output_units` classes."""

    parameters = 1

    def distribution(self, *inputs: tf.Tensor, statistics: Statistics = "average") -> tfd.Distribution:
        return tfd.Categorical(logits=self(*inputs, statistics=statistics))


class Deterministic(Conditional):
    """A function of the inputs: `call` is its value."""

    parameters = 1


class Scaling(keras.layers.Layer):
    """(x - shift) / scale on flattened features, from the units of the data to those of the networks."""

    def __init__(self, feature_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.feature_shape = tuple(feature_shape)
        self.units = int(np.prod(self.feature_shape))

    def build(self, input_shape: Any = None) -> None:
        self.shift = self.add_weight(shape=[self.units], initializer="zeros", trainable=False, name="shift")
        self.scale = self.add_weight(shape=[self.units], initializer="ones", trainable=False, name="scale")

    def adapt(self, x: np.ndarray, likelihood: str, dequantize: bool = False) -> None:
        """Fits to x [N, *features]: Gaussian features to mean 0 and variance 1, Bernoulli ones into [0, 1].

        Gaussian images [N, height, width, channels] are fitted by channel, other Gaussian features one by one; to the
        variance of integers that are spread over their unit with `dequantize`.
        """
        if likelihood == "bernoulli":
            largest = max(1.0, float(x.max()))
            if x.dtype == np.uint8 and largest > 1:
                largest = 255.0
            shift, scale = np.zeros(()), np.full((), largest)
        else:
            axes = (0, 1, 2) if x.ndim == 4 else 0
            shift, variance = _moments(x, axes)
            scale = np.sqrt(variance + dequantize / 12)
            scale = np.where(scale <= 1e-6 * np.abs(shift), 1.0, scale)  # constant features
        for weight, value in ((self.shift, shift), (self.scale, scale)):
            weight.assign(np.broadcast_to(value, self.feature_shape).ravel())

    def call(self, x: tf.Tensor) -> tf.Tensor:
        rows = tf.reshape(tf.cast(x, tf.float32), [-1, self.units])
        return (rows - self.shift) / self.scale

    def invert(self, rows: tf.Tensor) -> tf.Tensor:
        """From [B, units] back to [B, *features] in the units of the data."""
        return tf.reshape(rows * self.scale + self.shift, [-1, *self.feature_shape])


def _shared_glorot(inputs: int, outputs: int) -> keras.initializers.Initializer:
    """Glorot's uniform limit of the concatenated inputs (Glorot and Bengio 2010), for each part of them."""
    limit = (6 / (inputs + outputs)) ** 0.5
    return keras.initializers.RandomUniform(-limit, limit)


def _moments(x: np.ndarray, axes: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance over `axes`, by a thousand examples: all of them would take eight bytes a feature."""
    mean = x.mean(axes, dtype=np.float64)
    squares = sum(np.square(x[first : first + 1000] - mean).sum(axes) for first in range(0, len(x), 1000))
    return mean, squares * mean.size / x.size


def _rows(layer: keras.layers.Layer, x: tf.Tensor) -> tf.Tensor:
    """`layer` on [*leading, units] as one matrix product."""
    y = layer(tf.reshape(x, [-1, x.shape[-1]]))
    if x.shape.rank == 2:
        return y
    return tf.reshape(y, tf.concat([tf.shape(x)[:-1], [y.shape[-1]]], 0))
