"""The Sampler: what one pass of a batch through a model depends on, beside the batch."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfadgm.inference.elbo import kl_from_prior, reparameterize
from tfadgm.nn.normalization import BatchNormMode

GENERATOR = "philox"  # what XLA takes by itself is thirty times slower on a processor


class Sampler:
    """Noise, the mode of batch normalization, the weight of the KL terms.

    Args:
        seed: int32 [2].
        samples: S.
        noise: standard normal [S, B or 1, units] of variables by name, drawn beforehand: classes and repeated passes
            share it. Other variables are drawn afresh at every call, [S, B, units].
        bn_mode: the statistics that batch normalization uses.
        kl_weight: of the divergences of latent variables from their priors; below 1 in a warm-up only.
        analytic_kl: whether a divergence is its expectation, which is less noisy, or its value at the sample, as
            importance weights want it.

    Examples:
        >>> sampler = Sampler.shared(seed=(0, 1), samples=3, rows=5, units={"z": 2})
        >>> q_z = Gaussian.of(tf.zeros([5, 4]))
        >>> sampler(q_z, "z").shape
        TensorShape([3, 5, 2])
        >>> sampler.kl(q_z, sampler(q_z, "z")).numpy().tolist()
        [0.0, 0.0, 0.0, 0.0, 0.0]
    """

    def __init__(
        self,
        seed: Any,
        samples: int,
        noise: Mapping[str, tf.Tensor] | None = None,
        *,
        bn_mode: BatchNormMode = "average",
        kl_weight: tf.Tensor | float = 1.0,
        analytic_kl: bool = False,
    ) -> None:
        self.seed, self.samples, self.noise = tf.cast(seed, tf.int32), samples, dict(noise or {})
        self.bn_mode, self.kl_weight, self.analytic_kl = bn_mode, kl_weight, analytic_kl
        self.drawn = 0

    @classmethod
    def shared(cls, seed: Any, samples: int, rows: Any, units: Mapping[str, int], **options: Any) -> Sampler:
        """Noise of `rows` examples for variables of so many `units`, drawn beforehand."""
        *own, rest = tf.unstack(tf.random.split(tf.cast(seed, tf.int32), len(units) + 1))
        noise = {
            name: tf.random.stateless_normal([samples, rows, width], key, alg=GENERATOR)
            for (name, width), key in zip(units.items(), own, strict=True)
        }
        return cls(rest, samples, noise, analytic_kl=True, **options)

    @classmethod
    def constant(cls, samples: int, units: Mapping[str, int], **options: Any) -> Sampler:
        """Antithetic noise that all rows share. It is constant: TensorFlow draws other numbers inside XLA."""
        random = np.random.default_rng(0)
        halves = [random.standard_normal([(samples + 1) // 2, 1, width], np.float32) for width in units.values()]
        noise = [tf.constant(np.concatenate([half, -half])[:samples]) for half in halves]
        return cls([0, 0], samples, dict(zip(units, noise, strict=True)), analytic_kl=True, **options)

    def replace(self, **changes: Any) -> Sampler:
        """The same noise with other options."""
        other = copy.copy(self)
        vars(other).update(changes)
        return other

    def normal(self, rows: Any, units: int) -> tf.Tensor:
        """Standard normal [S, rows, units], another at every call."""
        self.drawn += 1
        key = tf.random.fold_in(self.seed, self.drawn)
        return tf.random.stateless_normal([self.samples, rows, units], key, alg=GENERATOR)

    def __call__(self, q: tfd.Distribution, name: str = "") -> tf.Tensor:
        """A sample of the diagonal Gaussian `q` of the variable `name`."""
        noise = self.noise.get(name)
        if noise is None:
            noise = self.normal(tf.shape(q.mean())[-2], q.event_shape[-1])
        return reparameterize(q, noise)

    def kl(self, q: tfd.Distribution, z: tf.Tensor) -> tf.Tensor:
        """The divergence of `q` from a standard normal prior, in expectation or at the sample `z`."""
        return kl_from_prior(q, None if self.analytic_kl else z)
