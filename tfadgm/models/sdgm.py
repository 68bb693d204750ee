"""The skip deep generative model (Maaløe et al. 2016, section 2.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfadgm.inference.elbo import class_elbo, reparameterize
from tfadgm.inference.sampling import Sampler
from tfadgm.models.auxiliary import AuxiliaryModel


@keras.saving.register_keras_serializable("tfadgm")
class SDGM(AuxiliaryModel):
    """Skip deep generative model: two stochastic layers with skip connections.

        p(x,y,a,z) = p(y) p(z) p(a|z,y) p(x|a,z,y)
        q(a,y,z|x) = q(a|x) q(y|a,x) q(z|a,x,y)

    Arguments as in `AuxiliaryModel`.

    Examples:
        >>> model = SDGM((4,), classes=3, hidden_units=(8,), latent_units=2, auxiliary_units=2)
        >>> model.predict(np.zeros([5, 4]), verbose=0).shape
        (5, 3)
    """

    def __init__(self, feature_shape: Sequence[int], classes: int, **options: Any) -> None:
        super().__init__(feature_shape, classes, **options)
        features, latent, auxiliary = self.scaling.units, self.latent_units, self.auxiliary_units
        self.q_a_x = self.gaussian(auxiliary, features)
        self.q_y_ax = self.categorical(classes, auxiliary, features)
        self.q_z_axy = self.gaussian(latent, auxiliary, features, classes)
        self.p_a_zy = self.gaussian(auxiliary, latent, classes)
        self.p_x_azy = self.observation(features, auxiliary, latent, classes)
        self.build()

    def class_elbo(self, x: tf.Tensor, a: tf.Tensor, y: tf.Tensor, sampler: Sampler) -> tf.Tensor:
        q_z = self.q_z_axy.distribution(a, x, y, bn_mode=sampler.bn_mode)
        z = sampler(q_z, "z")  # [K, S, B, Z]
        p_a = self.p_a_zy.distribution(z, y, bn_mode=sampler.bn_mode)
        p_x = self.p_x_azy.distribution(a, z, y, bn_mode=sampler.bn_mode)
        log_p_x = self.total_count * p_x.log_prob(x)  # [K, S, B]
        return class_elbo(log_p_x, self.log_p_y(y), sampler.kl(q_z, z), p_a.log_prob(a), sampler.kl_weight)

    def decode(self, z: tf.Tensor, y: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        a = reparameterize(self.p_a_zy.distribution(z, y), noise)
        return self.p_x_azy.distribution(a, z, y).mean()
