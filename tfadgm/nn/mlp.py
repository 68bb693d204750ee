"""The trunk of fully connected layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfadgm.nn.normalization import BatchNorm, BatchNormMode


class Example(int):
    """The number of units of a flattened example, which remembers its shape.

    Examples:
        >>> units = Example((28, 28, 1))
        >>> units, units.shape
        (784, (28, 28, 1))
    """

    shape: tuple[int, ...]

    def __new__(cls, shape: Sequence[int]) -> Example:
        units = super().__new__(cls, math.prod(shape))
        units.shape = tuple(shape)
        return units


class MLP(keras.layers.Layer):
    """Rectified layers.

    The first layer sums one projection per input, which equals a Dense layer on their concatenation. So inputs
    broadcast: x of shape [B, D] is projected once and meets y of shape [C, 1, 1, C].

    Args:
        output_units: size of the output.
        input_units: size of each input, in the order of `call`.
        hidden_units: size of each hidden layer; none gives a linear model.
        batch_norm: normalize every hidden layer before its rectifier.
        output: what the output units are parameters of; here it makes no difference.

    Examples:
        >>> trunk = MLP(3, input_units=[4, 2], hidden_units=(8,))
        >>> trunk.build()
        >>> trunk(tf.ones([5, 4]), tf.ones([7, 1, 2])).shape
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
        super().__init__(**kwargs)
        self.input_units = tuple(input_units)
        widths = [*hidden_units, output_units]
        self.hidden_width = hidden_units[-1] if hidden_units else output_units
        hidden_bias = not batch_norm  # batch normalization subtracts a bias
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
        self.built = True

    def call(self, *inputs: tf.Tensor, bn_mode: BatchNormMode = "average") -> tf.Tensor:
        """[*leading, output_units]; the leading axes are those of the inputs, broadcast."""
        return self.head(self.hidden(*inputs, bn_mode=bn_mode))

    def hidden(self, *inputs: tf.Tensor, bn_mode: BatchNormMode = "average") -> tf.Tensor:
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
                h = self.norms[index](h, bn_mode=bn_mode)
            h = tf.nn.relu(h)
        return tf.reshape(h, tf.concat([leading, [h.shape[-1]]], 0))

    def head(self, hidden: tf.Tensor) -> tf.Tensor:
        """[*leading, output_units] by the last hidden layer."""
        return _rows(self.layers[-1], hidden) if self.layers else hidden


def _shared_glorot(inputs: int, outputs: int) -> keras.initializers.Initializer:
    """Glorot's uniform limit of the concatenated inputs (Glorot and Bengio 2010), for each part of them."""
    limit = (6 / (inputs + outputs)) ** 0.5
    return keras.initializers.RandomUniform(-limit, limit)


def _rows(layer: keras.layers.Layer, x: tf.Tensor) -> tf.Tensor:
    """`layer` on [*leading, units] as one matrix product."""
    y = layer(tf.reshape(x, [-1, x.shape[-1]]))
    if x.shape.rank == 2:
        return y
    return tf.reshape(y, tf.concat([tf.shape(x)[:-1], [y.shape[-1]]], 0))
