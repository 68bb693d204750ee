"""What every model of x alone shares: its bound, training without labels, reconstruction and generation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfadgm.bounds import importance_weighted
from tfadgm.models.base import GenerativeModel
from tfadgm.networks import Statistics
from tfadgm.sweep import Draws


class DensityModel(GenerativeModel):
    """A model of x alone, p(x,z) = p(z_L) p(z_L-1|z_L) ... p(z_1|z_2) p(x|z_1), learned by a bound of log p(x).

    It is an ordinary Keras model: `compile(optimizer=...)`, `fit` on batches `{"unlabeled": x}`, `evaluate(x)` of x as
    it is (`tfadgm.likelihood.drawn` makes test points what the likelihood takes), `predict(x)` to reconstructions
    [B, *features], `save`. A subclass declares the networks of its q, and of auxiliary variables, and implements
    `log_weights` and `encode`.

    Arguments as in `GenerativeModel` but for `samples`, and

        stochastic_layers: L. Layer l has latent_units // 2^(l-1) units.
        importance_samples: K, samples within the logarithm of the bound.
        mc_samples: M, samples over which the bound is averaged.
    """

    terms = ("bound",)

    def __init__(
        self,
        feature_shape: Sequence[int],
        *,
        stochastic_layers: int = 1,
        importance_samples: int = 1,
        mc_samples: int = 1,
        **options: Any,
    ) -> None:
        super().__init__(feature_shape, samples=importance_samples * mc_samples, **options)
        self.stochastic_layers = stochastic_layers
        self.importance_samples, self.mc_samples = importance_samples, mc_samples
        self.layer_units = [max(1, self.latent_units // 2**layer) for layer in range(stochastic_layers)]
        pairs = enumerate(zip(self.layer_units[:-1], self.layer_units[1:], strict=True), 1)
        self.p_z = [self.gaussian(own, above, layer=layer) for layer, (own, above) in pairs]  # p(z_1|z_2), ...
        self.p_x_z = self.observation(self.scaling.units, self.layer_units[0])

    # The parts of a factorisation. x is scaled, [B, D].

    def log_weights(self, x: tf.Tensor, draw: Draws) -> tf.Tensor:
        """log p(x, latent) - log q(latent|x) at samples of q, [S, B]; divergences count by `draw.kl_weight`."""
        raise NotImplementedError

    def encode(self, x: tf.Tensor) -> tf.Tensor:
        """The mean of q(z_1|x), through the means of what it depends on; [B, Z]."""
        raise NotImplementedError

    def log_p_x(self, x: tf.Tensor, z: tf.Tensor, draw: Draws) -> tf.Tensor:
        """log p(x|z_1) for z_1 [S, B, Z]; [S, B]."""
        return self.draws * self.p_x_z.distribution(z, statistics=draw.statistics).log_prob(x)

    def log_p_z_below(self, z: Sequence[tf.Tensor], draw: Draws) -> tf.Tensor:
        """log p(z_1|z_2) + ... + log p(z_L-1|z_L), all but the highest layer's; [S, B]."""
        total = tf.constant(0.0)
        for network, own, above in zip(self.p_z, z[:-1], z[1:], strict=True):
            total += network.distribution(above, statistics=draw.statistics).log_prob(own)
        return total

    def decode(self, z: tf.Tensor) -> tf.Tensor:
        """The mean of p(x|z_1) for z_1 [B, Z]; scaled, [B, D]."""
        return self.p_x_z.distribution(z).mean()

    def bound(self, x: Any, *, seed: Any = (0, 0), statistics: Statistics = "average") -> tf.Tensor:
        """A lower bound of log p(x), in nats of the scaled features; [B].

        Args:
            x: [B, *features] in the units of the data.
            seed: int32 [2], of the samples.
            statistics: which statistics batch normalisation uses.
        """
        draw = Draws(seed, self.samples, statistics, exact=self.importance_samples == 1)
        return importance_weighted(self._weights(self.scaling(x), draw), self.importance_samples)

    def _weights(self, x: tf.Tensor, draw: Draws) -> tf.Tensor:
        """`log_weights`, of which parts that are exact may lack the axis of samples."""
        weights = self.log_weights(x, draw)
        return tf.broadcast_to(weights, [draw.samples, tf.shape(x)[0]])

    # Training and evaluation.

    def training_terms(self, data: Any, seeds: tf.Tensor) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
        x = self.training_input(data["unlabeled"], seeds[1])
        draw = Draws(seeds[3], self.samples, "update", self.kl_weight, exact=self.importance_samples == 1)
        bound = importance_weighted(self._weights(x, draw), self.importance_samples)
        return -tf.reduce_mean(bound), (bound,)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        x = data[0] if isinstance(data, tuple) else data
        (mean,) = self.train_metrics
        mean.update_state(self.bound(x))
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
        return np.concatenate([self._bound_of_batch(batch, importance_samples).numpy() for batch in batches])

    @tf.function(reduce_retracing=True)
    def _bound_of_batch(self, x: tf.Tensor, importance_samples: int) -> tf.Tensor:
        draw = Draws((0, 0), importance_samples * self.mc_samples, exact=importance_samples == 1)
        return importance_weighted(self._weights(self.scaling(x), draw), importance_samples)

    def embed(self, x: tf.Tensor) -> tf.Tensor:
        """The mean of q(z_1|x), [B, Z]; x [B, *features] in the units of the data."""
        return self.encode(self.scaling(x))

    def generate(self, count: int, seed: Any) -> tf.Tensor:
        """`count` examples, the means of p(x|.), in the units of the data; `seed`, int32 [2], chooses z."""
        draw = Draws(seed, 1)
        z = draw.noise(count, self.layer_units[-1])
        for network in reversed(self.p_z):
            z = draw(network.distribution(z))
        return self.scaling.invert(self.decode(z[0]))

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["samples"]
        names = ["stochastic_layers", "importance_samples", "mc_samples"]
        return {**config, **{name: getattr(self, name) for name in names}}
