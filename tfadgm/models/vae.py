"""The variational auto-encoder (Kingma and Welling 2014), the control of every other density model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfadgm.inference.sampling import Sampler
from tfadgm.models.density import DensityModel


@keras.saving.register_keras_serializable("tfadgm")
class VAE(DensityModel):
    """Variational auto-encoder of L stochastic layers.

        p(x,z) = p(z_L) p(z_L-1|z_L) ... p(z_1|z_2) p(x|z_1)
        q(z|x) = q(z_1|x) q(z_2|z_1) ... q(z_L|z_L-1)

    Arguments as in `DensityModel`.

    Examples:
        >>> model = VAE((4,), hidden_units=(8,), latent_units=2)
        >>> model.log_likelihood_bound(np.zeros([5, 4], np.float32)).shape
        (5,)
    """

    def __init__(self, feature_shape: Sequence[int], **options: Any) -> None:
        super().__init__(feature_shape, **options)
        below = [self.scaling.units, *self.layer_units[:-1]]
        self.q_z = [self.gaussian(own, lower) for own, lower in zip(self.layer_units, below, strict=True)]
        self.build()

    def log_weights(self, x: tf.Tensor, sampler: Sampler) -> tf.Tensor:
        z, cost = [x], tf.constant(0.0)  # log q(z|x) - log p(z)
        for network in self.q_z:
            q_z = network.distribution(z[-1], bn_mode=sampler.bn_mode)
            z.append(sampler(q_z))  # [S, B, Z]
            top = network is self.q_z[-1]
            cost += sampler.kl(q_z, z[-1]) if top else q_z.log_prob(z[-1])
        cost -= self.log_p_z_below(z[1:], sampler)
        return self.log_p_x(x, z[1], sampler) - sampler.kl_weight * cost  # [S, B]

    def encode(self, x: tf.Tensor) -> tf.Tensor:
        return self.q_z[0].distribution(x).mean()
