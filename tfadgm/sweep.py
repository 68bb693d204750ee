"""What one sweep of a batch through a model depends on, beside the batch: noise, statistics, weight of the KL terms."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfadgm.bounds import divergence_from_prior, reparameterize
from tfadgm.networks import Statistics

GENERATOR = "philox"  # what XLA takes by itself is thirty times slower on a processor


class Sweep(NamedTuple):
    """One sweep: drawn by a seed in training, constant in prediction.

    noise_a: standard normal [S, B or 1, A], of the auxiliary variable.
    noise_z: standard normal [S, B or 1, Z], of the latent variable.
    seed: int32 [2], of drawn classes.
    statistics: those that batch normalisation uses.
    kl_weight: of the divergences of a and z from their priors; below 1 in a warm-up only.
    at_sample: whether the divergence of z is that of its sample, as importance weights want it, or the expectation.
    """

    noise_a: tf.Tensor
    noise_z: tf.Tensor
    seed: tf.Tensor
    statistics: Statistics = "average"
    kl_weight: tf.Tensor | float = 1.0
    at_sample: bool = False


def drawn_sweep(
    seed: Any, samples: int, rows: Any, units: tuple[int, int], statistics: Statistics = "average"
) -> Sweep:
    """The sweep of `rows` examples by `seed`, int32 [2]; `units` are A and Z."""
    seeds = tf.random.split(tf.cast(seed, tf.int32), 3)
    a = tf.random.stateless_normal([samples, rows, units[0]], seeds[0], alg=GENERATOR)
    z = tf.random.stateless_normal([samples, rows, units[1]], seeds[1], alg=GENERATOR)
    return Sweep(a, z, seeds[2], statistics)


def fixed_sweep(samples: int, units: tuple[int, int], statistics: Statistics = "average") -> Sweep:
    """Antithetic noise that all rows share. It is constant, because TensorFlow draws other numbers inside XLA."""
    random = np.random.default_rng(0)
    a, z = (random.standard_normal([(samples + 1) // 2, 1, width], np.float32) for width in units)
    a, z = (tf.constant(np.concatenate([half, -half])[:samples]) for half in (a, z))
    return Sweep(a, z, tf.constant([0, 0]), statistics)


class Draws:
    """A sweep of a model of x alone: its variables are drawn one after the other, [S, B, units] each.

    seed: int32 [2].
    samples: S.
    statistics, kl_weight: as in `Sweep`.
    exact: whether a divergence may be its expectation, which is less noisy, instead of its value at the sample.
    """

    def __init__(
        self,
        seed: Any,
        samples: int,
        statistics: Statistics = "average",
        kl_weight: tf.Tensor | float = 1.0,
        exact: bool = False,
    ) -> None:
        self.seed, self.samples, self.statistics = tf.cast(seed, tf.int32), samples, statistics
        self.kl_weight, self.exact = kl_weight, exact
        self.drawn = 0

    def noise(self, rows: Any, units: int) -> tf.Tensor:
        """Standard normal [S, rows, units], another at every call."""
        self.drawn += 1
        return tf.random.stateless_normal(
            [self.samples, rows, units], tf.random.fold_in(self.seed, self.drawn), alg=GENERATOR
        )

    def __call__(self, q: tfd.Distribution) -> tf.Tensor:
        """A sample of a diagonal Gaussian [B] or [S, B]."""
        mean = q.mean()
        return reparameterize(q, self.noise(tf.shape(mean)[-2], mean.shape[-1]))

    def divergence(self, q: tfd.Distribution, z: tf.Tensor) -> tf.Tensor:
        """log q(z) - log p(z) for a standard normal p, at the sample z or in expectation; [S, B] or [B]."""
        return divergence_from_prior(q, None if self.exact else z)
