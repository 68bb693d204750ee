"""What every semi-supervised model shares: streams to loss, seeds, metrics, prediction and generation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfadgm import bounds
from tfadgm.marginalization import STRATEGIES, exact
from tfadgm.networks import Bernoulli, Categorical, Conditional, Gaussian, Scaling, Statistics
from tfadgm.noise import Noise, drawn_noise, fixed_noise
from tfadgm.regularisers import prior_mismatch, virtual_adversarial

MARGINAL_MOMENTUM = 0.9  # of the running mean of q(y|a,x), per step


class SemiSupervisedModel(keras.Model):
    """A classifier learned from a labeled and an unlabeled stream by a deep generative model.

    It is an ordinary Keras model: `compile(optimizer=...)`, `fit` on batches `{"labeled": (x, y), "unlabeled": x}`,
    `evaluate(x, y)`, `predict(x)` to class probabilities [B, C], `save`. A subclass declares its networks and
    implements `infer_auxiliary`, `class_logits`, `class_bound` and `decode`.

    Args:
        feature_shape: shape of one example.
        classes: number of classes C, at least 2.
        latent_units: size of z.
        auxiliary_units: size of a.
        hidden_units: size of each hidden layer of every network.
        batch_norm: normalise hidden layers over the batch.
        likelihood: "bernoulli" (features in [0, 1] after scaling) or "gaussian".
        draws: binary draws that a Bernoulli feature stands for; each counts in the likelihood.
        binarize: draw them afresh every training step; otherwise features enter as the mean of their draws.
        marginalization: "exact" or "rao_blackwellised", the sum over unknown classes in training.
        samples: samples S of a and z per example in training.
        prediction_samples: samples of a over which `predict` averages.
        alpha: weight of the classification term on the mean over labeled examples.
        labeled_weight: weight of the bound of labeled examples beside that of unlabeled ones, means per example.
        weight_prior: weight of log N(W; 0, 1); 1 / N for N training points.
        adversarial_radius: of a virtual adversarial term on the unlabeled stream, in scaled features; 0 leaves it out.
        adversarial_weight: of that term.
        prior_matching: weight of KL(mean_x q(y|a,x) || p(y)); 0 leaves it out.
        clip_norm: largest norm of the gradient of all weights together.
        seed: of the noise. The noise of a step depends on this and the step alone.
        xla: compile the training step with XLA: seconds at the start, faster steps.
    """

    built: bool

    def __init__(
        self,
        feature_shape: Sequence[int],
        classes: int,
        *,
        latent_units: int = 100,
        auxiliary_units: int = 0,
        hidden_units: Sequence[int] = (500, 500),
        batch_norm: bool = True,
        likelihood: str = "bernoulli",
        draws: int = 1,
        binarize: bool = True,
        marginalization: str = "exact",
        samples: int = 1,
        prediction_samples: int = 16,
        alpha: float = 1.0,
        labeled_weight: float = 1.0,
        weight_prior: float = 0.0,
        adversarial_radius: float = 0.0,
        adversarial_weight: float = 1.0,
        prior_matching: float = 0.0,
        clip_norm: float = 5.0,
        seed: int = 0,
        xla: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.feature_shape, self.classes = tuple(feature_shape), classes
        self.latent_units, self.auxiliary_units = latent_units, auxiliary_units
        self.hidden_units, self.batch_norm = tuple(hidden_units), batch_norm
        if likelihood not in ("bernoulli", "gaussian"):
            raise ValueError(f"Expected likelihood to be bernoulli or gaussian. Received: {likelihood!r}")
        self.likelihood, self.draws, self.binarize = likelihood, draws if likelihood == "bernoulli" else 1, binarize
        self.marginalization = marginalization
        self.samples, self.prediction_samples = samples, prediction_samples
        self.alpha, self.labeled_weight, self.weight_prior, self.seed = alpha, labeled_weight, weight_prior, seed
        self.adversarial_radius, self.adversarial_weight = adversarial_radius, adversarial_weight
        self.prior_matching, self.clip_norm = prior_matching, clip_norm
        self.xla, self._compiled_update = xla, tf.function(self._update, jit_compile=True)
        self.supports_jit = False  # of prediction, where XLA would take a second for each new size of a batch
        self.log_p_y = -math.log(classes)
        self.scaling = Scaling(feature_shape)
        self.train_metrics = [keras.metrics.Mean(name) for name in ("labeled_bound", "unlabeled_bound", "label_nll")]
        self.test_metrics = [keras.metrics.Mean(name) for name in ("error", "nll")]

    # The four parts of a factorisation. x is scaled, [B, D]; y is one-hot.

    def infer_auxiliary(
        self, x: tf.Tensor, noise: tf.Tensor, statistics: Statistics = "average"
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """A sample a ~ q(a|x) [S, B, A] and log q(a|x) [S, B]."""
        raise NotImplementedError

    def class_logits(self, x: tf.Tensor, a: tf.Tensor, statistics: Statistics = "average") -> tf.Tensor:
        """Logits of q(y|a,x), [S, B, C]."""
        raise NotImplementedError

    def class_bound(
        self, x: tf.Tensor, a: tf.Tensor, y: tf.Tensor, noise: tf.Tensor, statistics: Statistics = "average"
    ) -> tf.Tensor:
        """log p(x,y,a,z) - log q(z|a,x,y) for y [K, 1 or S, 1 or B, C], [K, S, B]."""
        raise NotImplementedError

    def decode(self, z: tf.Tensor, y: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """Mean of p(x|.) given z [B, Z], y [B, C] and the noise of a [B, A]; scaled, [B, D]."""
        raise NotImplementedError

    # The bounds.

    def labeled_bound(self, x: Any, y: Any, *, seed: Any = None, statistics: Statistics = "average") -> tf.Tensor:
        """-L(x,y), a lower bound of log p(x,y), in nats of the scaled features; [B].

        Args:
            x: [B, *features] in the units of the data.
            y: [B] class indices.
            seed: int32 [2]; without it the noise is fixed and shared by all rows.
            statistics: which statistics batch normalisation uses.
        """
        x = self.scaling(x)
        return self._labeled_terms(x, y, self.draw_noise(seed, tf.shape(x)[0]), statistics)[0]

    def unlabeled_bound(self, x: Any, *, seed: Any = None, statistics: Statistics = "average") -> tf.Tensor:
        """-U(x), a lower bound of log p(x) by the model's marginalization; [B]. Arguments as in `labeled_bound`."""
        x = self.scaling(x)
        noise = self.draw_noise(seed, tf.shape(x)[0])
        return self._unlabeled_terms(x, noise, statistics, STRATEGIES[self.marginalization])[0]

    def _labeled_terms(self, x: tf.Tensor, y: Any, noise: Noise, statistics: Statistics) -> tuple[tf.Tensor, tf.Tensor]:
        """-L(x,y) [B] and log q(y|a,x) [B], both with the same sample of a."""
        one_hot = tf.one_hot(y, self.classes)  # [B, C]
        a, log_q_a = self.infer_auxiliary(x, noise.a, statistics)
        log_q = tf.nn.log_softmax(self.class_logits(x, a, statistics))  # [S, B, C]
        bound = self.class_bound(x, a, one_hot[None, None], noise.z, statistics)[0] - log_q_a  # [S, B]
        return tf.reduce_mean(bound, 0), tf.reduce_mean(tf.reduce_sum(one_hot * log_q, -1), 0)

    def _unlabeled_terms(
        self, x: tf.Tensor, noise: Noise, statistics: Statistics, marginalize: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """-U(x) [B] and the logits of q(y|a,x) [S, B, C]."""
        a, log_q_a = self.infer_auxiliary(x, noise.a, statistics)

        def class_bound(y: tf.Tensor) -> tf.Tensor:
            return self.class_bound(x, a, y, noise.z, statistics)

        logits = self.class_logits(x, a, statistics)
        bound = marginalize(logits, class_bound, noise.seed) - log_q_a  # [S, B]
        return tf.reduce_mean(bound, 0), logits

    def draw_noise(self, seed: Any, rows: Any) -> Noise:
        """The noise of `rows` examples by `seed`, int32 [2]; fixed and shared by all rows where `seed` is None."""
        units = self.auxiliary_units, self.latent_units
        return fixed_noise(self.samples, units) if seed is None else drawn_noise(seed, self.samples, rows, units)

    def prediction_noise(self) -> Noise:
        """Fixed noise of `prediction_samples` samples."""
        return fixed_noise(self.prediction_samples, (self.auxiliary_units, self.latent_units))

    # Training and evaluation.

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        return self._compiled_update(data) if self.xla else self._update(data)

    def _update(self, data: Any) -> dict[str, tf.Tensor]:
        """One step of the optimizer on a batch of both streams; the running means of what it met."""
        (x_labeled, y), x_unlabeled = data["labeled"], data["unlabeled"]
        step = tf.cast(self.optimizer.iterations, tf.int32)
        seeds = tf.random.split(tf.stack([tf.constant(self.seed), step]), 5)
        x_labeled, x_unlabeled = self.training_input(x_labeled, seeds[0]), self.training_input(x_unlabeled, seeds[1])
        weights = self.trainable_variables
        with tf.GradientTape() as tape:
            noise = self.draw_noise(seeds[2], tf.shape(x_labeled)[0])
            labeled, log_q_y = self._labeled_terms(x_labeled, y, noise, "batch")
            noise = self.draw_noise(seeds[3], tf.shape(x_unlabeled)[0])
            unlabeled, logits = self._unlabeled_terms(x_unlabeled, noise, "update", STRATEGIES[self.marginalization])
            loss = bounds.objective(labeled, unlabeled, log_q_y, self.alpha, self.labeled_weight)
            kernels = [weight.value for weight in weights if weight.path.endswith("kernel")]
            loss -= self.weight_prior * bounds.weight_log_prior(*kernels)
            loss += self._regularisers(x_unlabeled, logits, noise.a, seeds[4])
        gradients = tape.gradient(loss, [weight.value for weight in weights])
        self.optimizer.apply(bounds.clip_by_global_norm(gradients, self.clip_norm), weights)
        self._loss_tracker.update_state(loss)
        for metric, value in zip(self.train_metrics, (labeled, unlabeled, -log_q_y), strict=True):
            metric.update_state(value)
        return {metric.name: metric.result() for metric in (self._loss_tracker, *self.train_metrics)}

    def _regularisers(self, x: tf.Tensor, logits: tf.Tensor, noise: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """What the options add to the paper's objective; scalar."""
        total = tf.constant(0.0)
        if self.prior_matching:
            share = tf.reduce_mean(tf.nn.softmax(logits), [0, 1])
            self.class_marginal.assign(MARGINAL_MOMENTUM * self.class_marginal + (1 - MARGINAL_MOMENTUM) * share)
            total += self.prior_matching * prior_mismatch(logits, tf.stop_gradient(self.class_marginal.value))
        if self.adversarial_radius:

            def classify(x: tf.Tensor) -> tf.Tensor:
                return self.class_logits(x, self.infer_auxiliary(x, noise, "batch")[0], "batch")

            moved = virtual_adversarial(classify, x, logits, self.adversarial_radius, seed)
            total += self.adversarial_weight * tf.reduce_mean(moved)
        return total

    def training_input(self, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Scaled features [B, D]; intensities become the mean of fresh Bernoulli draws, if so asked."""
        x = self.scaling(x)
        if self.likelihood == "bernoulli" and self.binarize:
            level = tf.random.stateless_uniform(tf.concat([[self.draws], tf.shape(x)], 0), seed)
            x = tf.reduce_mean(tf.cast(level < x, tf.float32), 0)
        return x

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        x, y = data[:2]
        probabilities = self(x)
        likelihood = tf.reduce_sum(tf.one_hot(y, self.classes) * probabilities, -1)
        wrong = tf.not_equal(tf.argmax(probabilities, -1), tf.cast(y, tf.int64))
        error, nll = self.test_metrics
        error.update_state(100 * tf.cast(wrong, tf.float32))
        nll.update_state(-tf.math.log(tf.maximum(likelihood, 1e-30)))
        return {metric.name: metric.result() for metric in self.test_metrics}

    # What a user asks of a trained model. All of it is deterministic.

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Class probabilities [B, C], averaged over fixed antithetic samples of a that all rows share."""
        x = self.scaling(x)
        a, _ = self.infer_auxiliary(x, self.prediction_noise().a)
        return tf.reduce_mean(tf.nn.softmax(self.class_logits(x, a)), 0)

    def log_likelihood_bound(self, x: Any, batch_size: int = 64) -> np.ndarray:
        """An estimate of -U(x), nats of the scaled features, over fixed samples and every class; [N].

        In expectation over the samples it is below log p(x) for binary or Gaussian features. Intensities between
        0 and 1 score as the expectation over their binary draws.
        """
        rows = tf.data.Dataset.from_tensor_slices(np.asarray(x)).batch(batch_size)
        return np.concatenate([self._exact_bound(batch).numpy() for batch in rows])

    @tf.function(reduce_retracing=True)
    def _exact_bound(self, x: tf.Tensor) -> tf.Tensor:
        return self._unlabeled_terms(self.scaling(x), self.prediction_noise(), "average", exact)[0]

    def generate(self, label: Any, seed: Any) -> tf.Tensor:
        """Examples [B, *features] of the classes `label` [B], the means of p(x|.), in the units of the data.

        `seed`, int32 [2], chooses z and a: the same label and seed give the same example.
        """
        label = tf.convert_to_tensor(label)
        if tf.executing_eagerly() and not bool(tf.reduce_all((label >= 0) & (label < self.classes))):
            raise ValueError(f"Expected labels from 0 to {self.classes - 1}. Received: {label.numpy()}")
        noise = drawn_noise(seed, 1, tf.shape(label)[0], (self.auxiliary_units, self.latent_units))
        return self.scaling.invert(self.decode(noise.z[0], tf.one_hot(label, self.classes), noise.a[0]))

    def adapt(self, x: np.ndarray) -> None:
        """Fits the scaling to training points x [N, *features] before training."""
        self.scaling.adapt(x, self.likelihood)

    # Construction.

    def gaussian(self, units: int, *input_units: int) -> Conditional:
        """A network for a Gaussian variable of `units` given inputs of `input_units`."""
        return Gaussian(units, **self._network(input_units))

    def categorical(self, units: int, *input_units: int) -> Conditional:
        """A network for one of `units` classes given inputs of `input_units`."""
        return Categorical(units, **self._network(input_units))

    def observation(self, units: int, *input_units: int) -> Conditional:
        """The network p(x|.) of the model's likelihood."""
        if self.likelihood == "bernoulli":
            return Bernoulli(units, **self._network(input_units))
        return self.gaussian(units, *input_units)

    def _network(self, input_units: Sequence[int]) -> dict[str, Any]:
        return {"input_units": input_units, "hidden_units": self.hidden_units, "batch_norm": self.batch_norm}

    def build(self, input_shape: Any = None) -> None:
        """Creates all weights. Every subclass calls it last; Keras calls it again when a file is loaded."""
        if not self.built:
            for layer in self.layers:
                layer.build()
            self.class_marginal = self.add_weight(
                shape=[self.classes],
                initializer=keras.initializers.Constant(1 / self.classes),
                trainable=False,
                name="class_marginal",
            )
            self.built = True

    def get_config(self) -> dict[str, Any]:
        names = [
            "feature_shape", "classes", "latent_units", "hidden_units", "batch_norm", "likelihood", "draws", "binarize",
            "marginalization", "samples", "prediction_samples", "alpha", "labeled_weight", "weight_prior",
            "adversarial_radius", "adversarial_weight", "prior_matching", "clip_norm", "seed", "xla",
        ]  # fmt: skip
        names += ["auxiliary_units"] * bool(self.auxiliary_units)
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
