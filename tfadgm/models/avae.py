"""The auxiliary variational auto-encoder (Maaløe et al. 2016, sections 2.1 and 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import keras
import tensorflow as tf

from tfadgm.hyperparameters import AtLeast, Units
from tfadgm.inference.sampling import Sampler
from tfadgm.models.density import DensityModel


@keras.saving.register_keras_serializable("tfadgm")
class AVAE(DensityModel):
    """Auxiliary variational auto-encoder of L stochastic layers.

        p(x,z,a) = p(z_L) ... p(z_1|z_2) p(x|z_1) p(a_L|z_L,x) p(a_L-1|a_L,z_L-1,x) ... p(a_1|a_2,z_1,x)
        q(a,z|x) = q(a_1|x) q(z_1|a_1,x) q(a_2|a_1,x) q(z_2|a_2,z_1) ...

    Arguments as in `DensityModel`, and

        auxiliary_units: size of a_1; a_l has auxiliary_units // 2^(l-1).
        auxiliary_hidden_units: of the networks of a; by default `hidden_units`.

    Examples:
        >>> model = AVAE((4,), hidden_units=(8,), latent_units=2, auxiliary_units=2)
        >>> model.generate(5, (0, 1)).shape
        TensorShape([5, 4])
    """

    def __init__(
        self,
        feature_shape: Sequence[int],
        *,
        auxiliary_units: Annotated[int, AtLeast(1), "units of the auxiliary variable a"] = 100,
        auxiliary_hidden_units: Annotated[
            Units | None, AtLeast(1), "units of each hidden layer of q(a|x) and p(a|x,z); by default those of all"
        ] = None,
        **options: Any,
    ) -> None:
        super().__init__(feature_shape, **options)
        self.auxiliary_units, self.auxiliary_hidden_units = auxiliary_units, auxiliary_hidden_units
        features, latent = self.scaling.units, self.layer_units
        units = [max(1, auxiliary_units // 2**layer) for layer in range(self.stochastic_layers)]
        self.q_a, self.q_z, self.p_a = [], [], []
        for layer, own in enumerate(units):
            below, above = units[:layer][-1:], units[layer + 1 :][:1]
            self.q_a.append(self.gaussian(own, *below, features, hidden_units=auxiliary_hidden_units))
            self.q_z.append(self.gaussian(latent[layer], own, [features, *latent][layer]))
            self.p_a.append(self.gaussian(own, features, latent[layer], *above, hidden_units=auxiliary_hidden_units))
        self.build()

    def log_weights(self, x: tf.Tensor, sampler: Sampler) -> tf.Tensor:
        a: list[tf.Tensor] = []
        z, cost = [x], tf.constant(0.0)  # log q(a,z|x) - log p(a,z|x)
        for q_a_network, q_z_network in zip(self.q_a, self.q_z, strict=True):
            q_a = q_a_network.distribution(*a[-1:], x, bn_mode=sampler.bn_mode)
            a.append(sampler(q_a))  # [S, B, A]
            q_z = q_z_network.distribution(a[-1], z[-1], bn_mode=sampler.bn_mode)
            z.append(sampler(q_z))  # [S, B, Z]
            top = q_z_network is self.q_z[-1]
            cost += q_a.log_prob(a[-1]) + (sampler.kl(q_z, z[-1]) if top else q_z.log_prob(z[-1]))
        for layer, network in enumerate(self.p_a):
            p_a = network.distribution(x, z[layer + 1], *a[layer + 1 :][:1], bn_mode=sampler.bn_mode)
            cost -= p_a.log_prob(a[layer])
        cost -= self.log_p_z_below(z[1:], sampler)
        return self.log_p_x(x, z[1], sampler) - sampler.kl_weight * cost  # [S, B]

    def encode(self, x: tf.Tensor) -> tf.Tensor:
        return self.q_z[0].distribution(self.q_a[0].distribution(x).mean(), x).mean()
