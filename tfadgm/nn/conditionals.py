"""Conditional distributions: one Keras layer each, a trunk and what its output stands for.

Tensors flow through `call`; `distribution` makes the TFP object at the edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfadgm.nn.normalization import BatchNormMode
from tfadgm.nn.trunks import TRUNKS

LOG_VARIANCE_BOUND = 8.0  # standard deviations stay within exp(-4) ... exp(4)


class Conditional(keras.layers.Layer):
    """p(output | inputs) by a trunk; subclasses say which distribution.

    Args:
        output_units: size of the variable.
        input_units: size of each input, in the order of `call`.
        hidden_units: size of each hidden layer; none gives a linear model.
        batch_norm: normalize every hidden layer before its rectifier.
        trunk: a name in `TRUNKS`.

    Examples:
        >>> p_x_z = Gaussian(3, input_units=[2], hidden_units=(8,))
        >>> p_x_z.build()
        >>> p_x_z.distribution(tf.ones([5, 2])).log_prob(tf.zeros([5, 3])).shape
        TensorShape([5])
    """

    parameters: int  # tensors of `output_units` that the distribution needs

    def __init__(
        self,
        output_units: int,
        *,
        input_units: Sequence[int],
        hidden_units: Sequence[int] = (500, 500),
        batch_norm: bool = True,
        trunk: str = "mlp",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.output_units = output_units
        made = TRUNKS[trunk](
            self.head_units, input_units=input_units, hidden_units=hidden_units, batch_norm=batch_norm,
            output=output_units,
        )  # fmt: skip
        for part in ("projections", "layers", "norms"):  # of an MLP, named and ordered as in files of version 0.1
            if hasattr(made, part):
                setattr(self, part, getattr(made, part))
        self.trunk = made

    @property
    def head_units(self) -> int:
        """How many parameters the distribution has."""
        return self.parameters * self.output_units

    def build(self, *input_shapes: Any) -> None:
        self.trunk.build()
        self.built = True

    def call(self, *inputs: tf.Tensor, bn_mode: BatchNormMode = "average") -> tf.Tensor:
        """[*leading, parameters * output_units]; the leading axes are those of the inputs, broadcast."""
        return self.trunk(*inputs, bn_mode=bn_mode)

    def distribution(self, *inputs: tf.Tensor, bn_mode: BatchNormMode = "average") -> tfd.Distribution:
        """The distribution of the output given `inputs`, one event of shape [output_units] per leading index."""
        return self.of(self(*inputs, bn_mode=bn_mode))

    @staticmethod
    def of(parameters: tf.Tensor) -> tfd.Distribution:
        """The distribution whose parameters are those that `call` gives."""
        raise NotImplementedError


class Gaussian(Conditional):
    """N(mean, diag exp(log variance)), the log variance bounded smoothly by LOG_VARIANCE_BOUND.

    Examples:
        >>> Gaussian.of(tf.constant([[1.0, 2.0, 0.0, 0.0]])).mean().numpy().tolist()
        [[1.0, 2.0]]
    """

    parameters = 2

    @staticmethod
    def of(parameters: tf.Tensor) -> tfd.Distribution:
        mean, raw = tf.split(parameters, 2, axis=-1)
        log_variance = LOG_VARIANCE_BOUND * tf.tanh(raw / LOG_VARIANCE_BOUND)
        return tfd.Independent(tfd.Normal(mean, tf.exp(0.5 * log_variance)), 1)


class Bernoulli(Conditional):
    """Independent Bernoulli variables. Values between 0 and 1 score as the expectation over their draws.

    Examples:
        >>> Bernoulli.of(tf.constant([[0.0, 0.0]])).mean().numpy().tolist()
        [[0.5, 0.5]]
    """

    parameters = 1

    @staticmethod
    def of(parameters: tf.Tensor) -> tfd.Distribution:
        return tfd.Independent(tfd.Bernoulli(logits=parameters, dtype=tf.float32), 1)


class Categorical(Conditional):
    """One of `output_units` classes.

    Examples:
        >>> Categorical.of(tf.constant([[0.0, 3.0, 1.0]])).mode().numpy().tolist()
        [1]
    """

    parameters = 1

    @staticmethod
    def of(parameters: tf.Tensor) -> tfd.Distribution:
        return tfd.Categorical(logits=parameters)


class Deterministic(Conditional):
    """A function of the inputs: `call` is its value.

    Examples:
        >>> f_x = Deterministic(3, input_units=[2], hidden_units=(8,))
        >>> f_x.build()
        >>> f_x(tf.ones([5, 2])).shape
        TensorShape([5, 3])
    """

    parameters = 1


class Mixed(Conditional):
    """The columns of a table, independent: Gaussian, Bernoulli and categorical ones, of which any may be missing.

    Its output is a row as `TableEncoding` gives it. What is missing says nothing.

    Args:
        numeric, binary: how many columns there are of either.
        sizes: of each categorical column, how many categories it has.
        Others as in `Conditional`.

    Examples:
        >>> p_x_z = Mixed(1, 1, [3], input_units=[2], hidden_units=())
        >>> p_x_z.build()
        >>> p_x_z.distribution(tf.ones([5, 2])).log_prob(tf.zeros([5, 7])).shape
        TensorShape([5])
    """

    def __init__(self, numeric: int, binary: int, sizes: Sequence[int], **options: Any) -> None:
        self.numeric, self.binary, self.sizes = numeric, binary, tuple(sizes)
        super().__init__(2 * (numeric + binary) + sum(sizes), **options)

    @property
    def head_units(self) -> int:
        return 2 * self.numeric + self.binary + sum(self.sizes)

    def distribution(self, *inputs: tf.Tensor, bn_mode: BatchNormMode = "average") -> MixedDistribution:
        parameters = self(*inputs, bn_mode=bn_mode)
        gaussian, bernoulli, *logits = tf.split(parameters, [2 * self.numeric, self.binary, *self.sizes], -1)
        return MixedDistribution(gaussian, bernoulli, logits)


class MixedDistribution:
    """That of a row of a table; see `Mixed`.

    Args:
        gaussian: parameters of the numeric columns, as of `Gaussian`; [*leading, 2 n].
        bernoulli: logits of the binary columns, [*leading, b].
        logits: of each categorical column, [*leading, size].

    Examples:
        >>> p_x = MixedDistribution(tf.zeros([1, 2]), tf.zeros([1, 1]), [tf.zeros([1, 4])])
        >>> round(float(tf.exp(p_x.log_prob(tf.constant([[0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0]])))[0]), 3)  # 1/2 1/4
        0.125
    """

    def __init__(self, gaussian: tf.Tensor, bernoulli: tf.Tensor, logits: Sequence[tf.Tensor]) -> None:
        self.gaussian = Gaussian.of(gaussian).distribution
        self.bernoulli = Bernoulli.of(bernoulli).distribution
        self.logits = logits

    def log_prob(self, x: tf.Tensor) -> tf.Tensor:
        """Of rows x [*leading, D]: the sum over what is not missing."""
        numeric, binary = self.gaussian.mean().shape[-1], self.bernoulli.logits.shape[-1]
        sizes = [logits.shape[-1] for logits in self.logits]
        numbers, bits, missing_numbers, missing_bits, *blocks = tf.split(
            x, [numeric, binary, numeric, binary, *sizes], -1
        )
        total = tf.reduce_sum((1 - missing_numbers) * self.gaussian.log_prob(numbers), -1)
        total += tf.reduce_sum((1 - missing_bits) * self.bernoulli.log_prob(bits), -1)
        for block, logits in zip(blocks, self.logits, strict=True):
            total += tf.reduce_sum(block * tf.nn.log_softmax(logits), -1)
        return total

    def mean(self) -> tf.Tensor:
        """A row without anything missing: means and probabilities, [*leading, D]."""
        scalars = tf.concat([self.gaussian.mean(), tf.sigmoid(self.bernoulli.logits)], -1)
        return tf.concat([scalars, tf.zeros_like(scalars), *(tf.nn.softmax(logits) for logits in self.logits)], -1)
