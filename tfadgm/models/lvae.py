"""The ladder variational auto-encoder (Sønderby et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfadgm.inference.sampling import Sampler
from tfadgm.models.density import DensityModel


@keras.saving.register_keras_serializable("tfadgm")
class LVAE(DensityModel):
    """Ladder variational auto-encoder of L stochastic layers.

        p(x,z) = p(z_L) p(z_L-1|z_L) ... p(z_1|z_2) p(x|z_1)
        q(z|x) = q(z_L|x) q(z_L-1|z_L,x) ... q(z_1|z_2,x),  q(z_l|z_l+1,x) = N(d_l(x)) p(z_l|z_l+1) / constant

    d_1(x) = d(x) and d_l(x) = d(d_l-1(x)) are deterministic; what they say of z_l is merged with the prior's word.

    The networks of each layer are half as wide as those of the one below. Arguments as in `DensityModel`.

    Examples:
        >>> model = LVAE((4,), hidden_units=(8,), latent_units=2)
        >>> model.log_likelihood_bound(np.zeros([5, 4], np.float32)).shape
        (5,)
    """

    narrowing = 2

    def __init__(self, feature_shape: Sequence[int], **options: Any) -> None:
        super().__init__(feature_shape, **options)
        below = self.scaling.units
        self.n_z_d = []  # what d_l says of z_l; d_l is the last hidden layer, and the input of the next network
        for layer, own in enumerate(self.layer_units):
            self.n_z_d.append(self.gaussian(own, below, layer=layer))
            below = self.n_z_d[-1].trunk.hidden_width
        self.build()

    def upward(self, x: tf.Tensor, sampler: Sampler) -> list[tfd.Distribution]:
        """What d_1, ..., d_L say of z_1, ..., z_L, [B] each."""
        found, d = [], x
        for network in self.n_z_d:
            d = network.trunk.hidden(d, bn_mode=sampler.bn_mode)
            found.append(network.of(network.trunk.head(d)))
        return found

    def log_weights(self, x: tf.Tensor, sampler: Sampler) -> tf.Tensor:
        *lower, q_z = self.upward(x, sampler)
        z = sampler(q_z)  # [S, B, Z], of the highest layer first
        cost = sampler.kl(q_z, z)  # log q(z|x) - log p(z)
        for said, network in zip(reversed(lower), reversed(self.p_z), strict=True):
            p_z = network.distribution(z, bn_mode=sampler.bn_mode)
            q_z = merge(said, p_z)
            z = sampler(q_z)
            cost += tfd.kl_divergence(q_z, p_z) if sampler.analytic_kl else q_z.log_prob(z) - p_z.log_prob(z)
        return self.log_p_x(x, z, sampler) - sampler.kl_weight * cost  # [S, B]

    def encode(self, x: tf.Tensor) -> tf.Tensor:
        *lower, q_z = self.upward(x, Sampler((0, 0), 1))
        z = q_z.mean()
        for said, network in zip(reversed(lower), reversed(self.p_z), strict=True):
            z = merge(said, network.distribution(z)).mean()
        return z


def merge(left: tfd.Distribution, right: tfd.Distribution) -> tfd.Distribution:
    """The product of two diagonal Gaussians, normalised: precisions add up, means by precision (eq. 17 to 19)."""
    precision_left, precision_right = (tf.math.reciprocal(tf.square(part.stddev())) for part in (left, right))
    precision = precision_left + precision_right
    mean = (left.mean() * precision_left + right.mean() * precision_right) / precision
    return tfd.Independent(tfd.Normal(mean, tf.math.rsqrt(precision)), 1)
