"""The variational auto-encoder with a planar normalising flow (Rezende and Mohamed 2015)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

import keras
import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tfadgm.hyperparameters import AtLeast, Range
from tfadgm.inference.elbo import standard_normal
from tfadgm.inference.sampling import Sampler
from tfadgm.models.density import DensityModel
from tfadgm.nn.conditionals import Deterministic

SHIFT = math.log(math.e - 1)  # makes w.u' 0 where w.u is, so that small parameters are near the identity
LEAST = 0.01  # no map contracts by more than that; the logarithm of nothing would end a training


@keras.saving.register_keras_serializable("tfadgm")
class NFVAE(DensityModel):
    """Variational auto-encoder with a normalising flow, of one stochastic layer.

        p(x,z) = p(z) p(x|z)
        q(z|x) = q(z_0|x) |det dz/dz_0|^-1,  z = f_K(... f_1(z_0)), every f planar with parameters of x

    Arguments as in `DensityModel`, and

        flows: how many maps.

    Examples:
        >>> model = NFVAE((4,), hidden_units=(8,), latent_units=2)
        >>> model.log_likelihood_bound(np.zeros([5, 4], np.float32)).shape
        (5,)
    """

    def __init__(
        self,
        feature_shape: Sequence[int],
        *,
        stochastic_layers: Annotated[int, Range(1, 1), "layers of z"] = 1,
        flows: Annotated[int, AtLeast(1), "planar maps of the normalizing flow"] = 10,
        **options: Any,
    ) -> None:
        super().__init__(feature_shape, stochastic_layers=stochastic_layers, **options)
        if stochastic_layers != 1:
            raise ValueError(f"Expected one stochastic layer with a flow. Received: {stochastic_layers}")
        self.flows, features = flows, self.scaling.units
        self.q_z0_x = self.gaussian(self.latent_units, features)
        self.f_x = Deterministic(flows * (2 * self.latent_units + 1), **self.network([features]))
        self.build()

    def flow(self, x: tf.Tensor, sampler: Sampler) -> tfb.Bijector:
        """z_0 to z by the maps that belong to x [B, D]."""
        parameters = self.f_x(x, bn_mode=sampler.bn_mode)
        maps = []
        for part in tf.split(parameters, self.flows, axis=-1):
            w, u, b = tf.split(part, [self.latent_units, self.latent_units, 1], axis=-1)
            maps.append(Planar(w, u, b[..., 0]))
        return tfb.Chain(maps[::-1])

    def log_weights(self, x: tf.Tensor, sampler: Sampler) -> tf.Tensor:
        q_z0 = self.q_z0_x.distribution(x, bn_mode=sampler.bn_mode)
        z0, flow = sampler(q_z0), self.flow(x, sampler)  # [S, B, Z]
        z = flow.forward(z0)
        log_q = q_z0.log_prob(z0) - flow.forward_log_det_jacobian(z0, event_ndims=1)
        cost = log_q - standard_normal(self.latent_units).log_prob(z)
        return self.log_p_x(x, z, sampler) - sampler.kl_weight * cost  # [S, B]

    def encode(self, x: tf.Tensor) -> tf.Tensor:
        return self.flow(x, Sampler((0, 0), 1)).forward(self.q_z0_x.distribution(x).mean())


class Planar(tfb.Bijector):
    """f(z) = z + u' tanh(w.z + b), for w and u [B, Z] and b [B]; u' is u, moved along w so that f can be inverted.

    1 + w.u', the slope of f along w where it is least or most, is above LEAST (appendix A.1 has it above 0). The
    inverse has no closed form, and nothing here asks for it.

    Examples:
        >>> w = tf.ones([5, 2])
        >>> Planar(w, w, tf.zeros(5)).forward(tf.zeros([5, 2])).shape
        TensorShape([5, 2])
    """

    def __init__(self, w: tf.Tensor, u: tf.Tensor, b: tf.Tensor) -> None:
        super().__init__(forward_min_event_ndims=1, name="planar")
        inner = tf.reduce_sum(w * u, -1, keepdims=True)
        slope = LEAST + (1 - LEAST) * tf.nn.softplus(inner + SHIFT)  # 1 + w.u'
        self.w, self.b, self.slope = w, b, slope[..., 0]
        self.u = u + (slope - 1 - inner) * w / (tf.reduce_sum(tf.square(w), -1, keepdims=True) + 1e-8)

    def _forward(self, z: tf.Tensor) -> tf.Tensor:
        return z + self.u * self._tanh(z)[..., None]

    def _forward_log_det_jacobian(self, z: tf.Tensor) -> tf.Tensor:
        saturated = tf.square(self._tanh(z))
        return tf.math.log(saturated + (1 - saturated) * self.slope)

    def _tanh(self, z: tf.Tensor) -> tf.Tensor:
        return tf.tanh(tf.reduce_sum(self.w * z, -1) + self.b)
