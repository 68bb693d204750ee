"""What every model that is trained by a bound shares: its networks, the compiled step, seeds, scaling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfadgm import bounds
from tfadgm.networks import Bernoulli, Categorical, Conditional, Gaussian, Scaling
from tfadgm.sweep import GENERATOR


class GenerativeModel(keras.Model):
    """A Keras model of p and q, trained by `fit` with one optimizer step for both.

    A subclass declares its networks, calls `build` last and implements `training_terms`.

    Args:
        feature_shape: shape of one example.
        latent_units: size of z.
        auxiliary_units: size of a.
        hidden_units: size of each hidden layer of every network.
        batch_norm: normalise hidden layers over the batch.
        likelihood: "bernoulli" (features in [0, 1] after scaling) or "gaussian".
        draws: binary draws that a Bernoulli feature stands for; each counts in the likelihood.
        binarize: draw them afresh every training step; otherwise features enter as the mean of their draws.
        dequantize: spread integer Gaussian features over their unit, afresh every training step (Theis et al. 2016).
        samples: samples S of a and z per example in training.
        weight_prior: weight of log N(W; 0, 1); 1 / N for N training points.
        warm_up: steps in which the weight of the KL divergences of a and z grows from 0 to 1.
        clip_norm: largest norm of the gradient of all weights together.
        seed: of the noise. The noise of a step depends on this and the step alone.
        xla: compile the training step with XLA: seconds at the start, faster steps.
    """

    built: bool
    terms: tuple[str, ...]  # names of the means that training reports beside its loss
    narrowing = 1  # of hidden layers from one layer of the model to the next

    def __init__(
        self,
        feature_shape: Sequence[int],
        *,
        latent_units: int = 100,
        auxiliary_units: int = 0,
        hidden_units: Sequence[int] = (500, 500),
        batch_norm: bool = True,
        likelihood: str = "bernoulli",
        draws: int = 1,
        binarize: bool = True,
        dequantize: bool = False,
        samples: int = 1,
        weight_prior: float = 0.0,
        warm_up: int = 0,
        clip_norm: float = 5.0,
        seed: int = 0,
        xla: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.feature_shape = tuple(feature_shape)
        self.latent_units, self.auxiliary_units = latent_units, auxiliary_units
        self.hidden_units, self.batch_norm = tuple(hidden_units), batch_norm
        if likelihood not in ("bernoulli", "gaussian"):
            raise ValueError(f"Expected likelihood to be bernoulli or gaussian. Received: {likelihood!r}")
        self.likelihood, self.draws = likelihood, draws if likelihood == "bernoulli" else 1
        self.binarize = binarize and likelihood == "bernoulli"
        self.dequantize = dequantize and likelihood == "gaussian"
        self.samples, self.weight_prior, self.warm_up = samples, weight_prior, warm_up
        self.clip_norm, self.seed = clip_norm, seed
        self.xla, self._compiled_update = xla, tf.function(self._update, jit_compile=True)
        self.supports_jit = False  # of prediction, where XLA would take a second for each new size of a batch
        self.scaling = Scaling(feature_shape)
        self.train_metrics = [keras.metrics.Mean(name) for name in self.terms]

    def make_train_function(self, force: bool = False) -> None:
        """As Keras's, after building the optimizer: else the first step, which would, is traced twice."""
        self.optimizer.build(self.trainable_variables)
        super().make_train_function(force)

    def training_terms(self, data: Any, seeds: tf.Tensor) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
        """The loss of a batch, scalar, and the values [B] behind the means of `terms`; `seeds` is int32 [5, 2]."""
        raise NotImplementedError

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        return self._compiled_update(data) if self.xla else self._update(data)

    def _update(self, data: Any) -> dict[str, tf.Tensor]:
        """One step of the optimizer on a batch; the running means of what it met."""
        seeds = tf.random.split(tf.stack([tf.constant(self.seed), self.step]), 5)
        weights = self.trainable_variables
        with tf.GradientTape() as tape:
            loss, values = self.training_terms(data, seeds)
            kernels = [weight.value for weight in weights if weight.path.endswith("kernel")]
            loss -= self.weight_prior * bounds.weight_log_prior(*kernels)
        gradients = tape.gradient(loss, [weight.value for weight in weights])
        self.optimizer.apply(bounds.clip_by_global_norm(gradients, self.clip_norm), weights)
        self._loss_tracker.update_state(loss)
        for metric, value in zip(self.train_metrics, values, strict=True):
            metric.update_state(value)
        return {metric.name: metric.result() for metric in (self._loss_tracker, *self.train_metrics)}

    @property
    def step(self) -> tf.Tensor:
        """How many steps training has taken, int32."""
        return tf.cast(self.optimizer.iterations, tf.int32)

    @property
    def kl_weight(self) -> tf.Tensor | float:
        """The weight of divergences at this step of training."""
        return tf.minimum(1.0, tf.cast(self.step, tf.float32) / self.warm_up) if self.warm_up else 1.0

    def training_input(self, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Scaled features [B, D] as the likelihood takes them: binary draws of intensities, integers spread out."""
        x = self.scaling(x)
        if self.dequantize:
            x += tf.random.stateless_uniform(tf.shape(x), seed, -0.5, 0.5, alg=GENERATOR) / self.scaling.scale
        if self.binarize:
            level = tf.random.stateless_uniform(tf.concat([[self.draws], tf.shape(x)], 0), seed, alg=GENERATOR)
            x = tf.reduce_mean(tf.cast(level < x, tf.float32), 0)
        return x

    def adapt(self, x: np.ndarray) -> None:
        """Fits the scaling to training points x [N, *features] before training."""
        self.scaling.adapt(x, self.likelihood, self.dequantize)

    # Construction.

    def gaussian(
        self, units: int, *input_units: int, layer: int = 0, hidden_units: Sequence[int] | None = None
    ) -> Gaussian:
        """A network for a Gaussian variable of `units` given inputs of `input_units`, in a layer of the model.

        `hidden_units` replace those of the model.
        """
        return Gaussian(units, **self._network(input_units, layer, hidden_units))

    def categorical(self, units: int, *input_units: int) -> Conditional:
        """A network for one of `units` classes given inputs of `input_units`."""
        return Categorical(units, **self._network(input_units))

    def observation(self, units: int, *input_units: int) -> Conditional:
        """The network p(x|.) of the model's likelihood."""
        if self.likelihood == "bernoulli":
            return Bernoulli(units, **self._network(input_units))
        return self.gaussian(units, *input_units)

    def _network(
        self, input_units: Sequence[int], layer: int = 0, hidden_units: Sequence[int] | None = None
    ) -> dict[str, Any]:
        widths = self.hidden_units if hidden_units is None else hidden_units
        hidden = [max(1, units // self.narrowing**layer) for units in widths]
        return {"input_units": input_units, "hidden_units": hidden, "batch_norm": self.batch_norm}

    def build(self, input_shape: Any = None) -> None:
        """Creates all weights. Every subclass calls it last; Keras calls it again when a file is loaded."""
        for layer in self.layers:
            layer.build()
        self.built = True

    def get_config(self) -> dict[str, Any]:
        names = [
            "feature_shape", "latent_units", "hidden_units", "batch_norm", "likelihood", "draws", "binarize",
            "dequantize", "samples", "weight_prior", "warm_up", "clip_norm", "seed", "xla",
        ]  # fmt: skip
        names += ["auxiliary_units"] * bool(self.auxiliary_units)
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
