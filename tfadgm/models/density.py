"""What every density model, of x alone, shares: its bound, training without labels, reconstruction, generation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import tensorflow as tf

from tfadgm.hyperparameters import AtLeast
from tfadgm.inference.elbo import importance_weighted
from tfadgm.inference.sampling import Sampler
from tfadgm.models.base import BaseModel
from tfadgm.nn.normalization import BatchNormMode


class DensityModel(BaseModel):
    """A density p(x,z) = p(z_L) p(z_L-1|z_L) ... p(z_1|z_2) p(x|z_1), learned by a bound of log p(x).

    It is an ordinary Keras model: `compile(optimizer=...)`, `fit` on batches `{"unlabeled": x}`, `evaluate(x)` of x as
    it is (`tfadgm.evaluation.likelihood.prepare_inputs` makes test points what the likelihood takes), `predict(x)` to
    reconstructions [B, *features], `save`. A subclass declares the networks of its q, and of auxiliary variables, and
    implements `log_weights` and `encode`.

    Arguments as in `BaseModel`, and

        latent_units: of z_1.
        stochastic_layers: L. Layer l has latent_units // 2^(l-1) units.
        importance_samples: K, samples within the logarithm of the bound.
        mc_samples: M, samples over which the bound is averaged.

    Examples:
        >>> model = VAE((2, 3), hidden_units=(8,), latent_units=4, stochastic_layers=2)
        >>> model.layer_units
        [4, 2]
        >>> model(np.zeros([5, 2, 3])).shape, model.embed(np.zeros([5, 2, 3])).shape
        (TensorShape([5, 2, 3]), TensorShape([5, 4]))
    """

    task = "density"

    def __init__(
        self,
        feature_shape: Sequence[int],
        *,
        latent_units: Annotated[int, AtLeast(1), "units of the latent variable z"] = 100,
        stochastic_layers: Annotated[int, AtLeast(1), "layers of z, each with half the units of the one below"] = 1,
        importance_samples: Annotated[int, AtLeast(1), "samples within the logarithm of the bound"] = 1,
        mc_samples: Annotated[int, AtLeast(1), "samples over which the bound is averaged"] = 1,
        **options: Any,
    ) -> None:
        super().__init__(feature_shape, **options)
        self.latent_units, self.stochastic_layers = latent_units, stochastic_layers
        self.importance_samples, self.mc_samples = importance_samples, mc_samples
        self.samples = importance_samples * mc_samples
        self.reports("elbo")
        self.layer_units = [max(1, self.latent_units // 2**layer) for layer in range(stochastic_layers)]
        pairs = enumerate(zip(self.layer_units[:-1], self.layer_units[1:], strict=True), 1)
        self.p_z = [self.gaussian(own, above, layer=layer) for layer, (own, above) in pairs]  # p(z_1|z_2), ...
        self.p_x_z = self.observation(self.scaling.units, self.layer_units[0])

    # The parts of a factorisation. x is scaled, [B, D].

    def log_weights(self, x: tf.Tensor, sampler: Sampler) -> tf.Tensor:
        """log p(x, latent) - log q(latent|x) at samples of q, [S, B]; divergences count by `sampler.kl_weight`."""
        raise NotImplementedError

    def encode(self, x: tf.Tensor) -> tf.Tensor:
        """The mean of q(z_1|x), through the means of what it depends on; [B, Z]."""
        raise NotImplementedError

    def log_p_x(self, x: tf.Tensor, z: tf.Tensor, sampler: Sampler) -> tf.Tensor:
        """log p(x|z_1) for z_1 [S, B, Z]; [S, B]."""
        return self.total_count * self.p_x_z.distribution(z, bn_mode=sampler.bn_mode).log_prob(x)

    def log_p_z_below(self, z: Sequence[tf.Tensor], sampler: Sampler) -> tf.Tensor:
        """log p(z_1|z_2) + ... + log p(z_L-1|z_L), all but the highest layer's; [S, B]."""
        total = tf.constant(0.0)
        for network, own, above in zip(self.p_z, z[:-1], z[1:], strict=True):
            total += network.distribution(above, bn_mode=sampler.bn_mode).log_prob(own)
        return total

    def decode(self, z: tf.Tensor) -> tf.Tensor:
        """The mean of p(x|z_1) for z_1 [B, Z]; scaled, [B, D]."""
        return self.p_x_z.distribution(z).mean()

    def elbo(self, x: Any, *, seed: Any = (0, 0), bn_mode: BatchNormMode = "average") -> tf.Tensor:
        """A lower bound of log p(x), in nats of the scaled features; [B].

        Args:
            x: [B, *features] in the units of the data.
            seed: int32 [2], of the samples.
            bn_mode: which statistics batch normalization uses.
        """
        return self._elbo(self.scaling(x), Sampler(seed, self.samples, bn_mode=bn_mode), self.importance_samples)

    def _elbo(self, x: tf.Tensor, sampler: Sampler, importance_samples: int) -> tf.Tensor:
        """The bound of scaled x [B, D]; one importance sample may have exact divergences."""
        sampler = sampler.replace(analytic_kl=importance_samples == 1)
        return importance_weighted(self._weights(x, sampler), importance_samples)

    def _weights(self, x: tf.Tensor, sampler: Sampler) -> tf.Tensor:
        """`log_weights`, of which parts that are exact may lack the axis of samples."""
        weights = self.log_weights(x, sampler)
        return tf.broadcast_to(weights, [sampler.samples, tf.shape(x)[0]])

    # Training and evaluation.

    def training_terms(self, data: Any, seeds: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        x = self.prepare_inputs(data["unlabeled"], seeds[1])
        sampler = Sampler(seeds[3], self.samples, bn_mode="update", kl_weight=self.kl_weight)
        elbo = self._elbo(x, sampler, self.importance_samples)
        return -tf.reduce_mean(elbo), {"elbo": elbo}

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        x = data[0] if isinstance(data, tuple) else data
        (mean,) = self.train_metrics.values()
        mean.update_state(self.elbo(x))
        return {mean.name: mean.result()}

    # What a user asks of a trained model. All of it is deterministic.

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Reconstructions [B, *features] in the units of the data."""
        return self.scaling.invert(self.decode(self.encode(self.scaling(x))))

    def log_likelihood_bound(self, x: Any, *, importance_samples: int = 1, rows: int = 1000) -> np.ndarray:
        """A lower bound of log p(x), nats of the scaled features, by fixed samples; [N].

        With one importance sample it is the evidence lower bound; with more it rises towards log p(x). `rows` is how
        many samples of all examples are taken at a time.
        """
        batches = tf.data.Dataset.from_tensor_slices(np.asarray(x)).batch(
            max(1, rows // (importance_samples * self.mc_samples))
        )
        elbo = self.traced(self._elbo_of_batch, reduce_retracing=True)
        return np.concatenate([elbo(batch, importance_samples).numpy() for batch in batches])

    def _elbo_of_batch(self, x: tf.Tensor, importance_samples: int) -> tf.Tensor:
        return self._elbo(self.scaling(x), Sampler((0, 0), importance_samples * self.mc_samples), importance_samples)

    def embed(self, x: tf.Tensor) -> tf.Tensor:
        """The mean of q(z_1|x), [B, Z]; x [B, *features] in the units of the data."""
        return self.encode(self.scaling(x))

    def generate(self, count: int, seed: Any) -> tf.Tensor:
        """`count` examples, the means of p(x|.), in the units of the data; `seed`, int32 [2], chooses z."""
        sampler = Sampler(seed, 1)
        z = sampler.normal(count, self.layer_units[-1])
        for network in reversed(self.p_z):
            z = sampler(network.distribution(z))
        return self.scaling.invert(self.decode(z[0]))
