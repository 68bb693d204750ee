"""What every semi-supervised model shares: both bounds, the objective of two streams, prediction and generation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfadgm import bounds
from tfadgm.marginalization import STRATEGIES, exact
from tfadgm.models.base import GenerativeModel
from tfadgm.networks import Statistics
from tfadgm.regularisers import prior_mismatch, virtual_adversarial
from tfadgm.sweep import Draws, Sweep, drawn_sweep, fixed_sweep

MARGINAL_MOMENTUM = 0.9  # of the running mean of q(y|a,x), per step


class SemiSupervisedModel(GenerativeModel):
    """A classifier learned from a labeled and an unlabeled stream by a deep generative model.

    It is an ordinary Keras model: `compile(optimizer=...)`, `fit` on batches `{"labeled": (x, y), "unlabeled": x}`,
    `evaluate(x, y)`, `predict(x)` to class probabilities [B, C], `save`. A subclass declares its networks and
    implements `infer_auxiliary`, `class_logits`, `class_bound` and `decode`.

    Arguments as in `GenerativeModel`, and

        classes: number of classes C, at least 2.
        marginalization: "exact" or "rao_blackwellised", the sum over unknown classes in training.
        alpha: weight of the classification term on the mean over labeled examples.
        labeled_weight: weight of the bound of labeled examples beside that of unlabeled ones, means per example.
        adversarial_radius: of a virtual adversarial term on the unlabeled stream, in scaled features; 0 leaves it out.
        adversarial_weight: of that term.
        prior_matching: weight of KL(mean_x q(y|a,x) || p(y)); 0 leaves it out.
        prior_tolerance: by how much a class may be larger or smaller than 1 / C without cost, a ratio less 1.
        prediction_samples: samples over which a prediction averages.
    """

    terms = ("labeled_bound", "unlabeled_bound", "label_nll")

    def __init__(
        self,
        feature_shape: Sequence[int],
        classes: int,
        *,
        marginalization: str = "exact",
        alpha: float = 1.0,
        labeled_weight: float = 1.0,
        adversarial_radius: float = 0.0,
        adversarial_weight: float = 1.0,
        prior_matching: float = 0.0,
        prior_tolerance: float = 0.0,
        prediction_samples: int = 16,
        **options: Any,
    ) -> None:
        super().__init__(feature_shape, **options)
        self.classes, self.marginalization = classes, marginalization
        self.alpha, self.labeled_weight = alpha, labeled_weight
        self.adversarial_radius, self.adversarial_weight = adversarial_radius, adversarial_weight
        self.prior_matching, self.prior_tolerance = prior_matching, prior_tolerance
        self.prediction_samples = prediction_samples
        self.log_p_y = -math.log(classes)
        self.test_metrics = [keras.metrics.Mean(name) for name in ("error", "nll")]

    # The four parts of a factorisation. x is scaled, [B, D]; y is one-hot.

    def infer_auxiliary(self, x: tf.Tensor, sweep: Sweep) -> tuple[tf.Tensor, tf.Tensor]:
        """A sample a ~ q(a|x) [S, B, A] and log q(a|x) [S, B]."""
        raise NotImplementedError

    def class_logits(self, x: tf.Tensor, a: tf.Tensor, sweep: Sweep) -> tf.Tensor:
        """Logits of q(y|a,x), [S, B, C]."""
        raise NotImplementedError

    def class_bound(self, x: tf.Tensor, a: tf.Tensor, y: tf.Tensor, sweep: Sweep) -> tf.Tensor:
        """log p(x,y,a,z) - log q(z|a,x,y) for y [K, 1 or S, 1 or B, C], [K, S, B]."""
        raise NotImplementedError

    def decode(self, z: tf.Tensor, y: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """Mean of p(x|.) given z [B, Z], y [B, C] and the noise of a [B, A]; scaled, [B, D]."""
        raise NotImplementedError

    def infer_style(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """The mean of q(z|.) given y [B, C], and a at its mean; [B, Z]."""
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
        return self._labeled_terms(x, y, self.sweep(seed, tf.shape(x)[0], statistics))[0]

    def unlabeled_bound(self, x: Any, *, seed: Any = None, statistics: Statistics = "average") -> tf.Tensor:
        """-U(x), a lower bound of log p(x) by the model's marginalization; [B]. Arguments as in `labeled_bound`."""
        x = self.scaling(x)
        sweep = self.sweep(seed, tf.shape(x)[0], statistics)
        return self._unlabeled_terms(x, sweep, STRATEGIES[self.marginalization])[0]

    def _labeled_terms(self, x: tf.Tensor, y: Any, sweep: Sweep) -> tuple[tf.Tensor, tf.Tensor]:
        """-L(x,y) [B] and log q(y|a,x) [B], both with the same sample of a."""
        one_hot = tf.one_hot(y, self.classes)  # [B, C]
        a, log_q_a = self.infer_auxiliary(x, sweep)
        log_q = tf.nn.log_softmax(self.class_logits(x, a, sweep))  # [S, B, C]
        bound = self.class_bound(x, a, one_hot[None, None], sweep)[0] - sweep.kl_weight * log_q_a  # [S, B]
        return tf.reduce_mean(bound, 0), tf.reduce_mean(tf.reduce_sum(one_hot * log_q, -1), 0)

    def _unlabeled_terms(self, x: tf.Tensor, sweep: Sweep, marginalize: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """-U(x) [B] and the logits of q(y|a,x) [S, B, C]."""
        a, log_q_a = self.infer_auxiliary(x, sweep)
        logits = self.class_logits(x, a, sweep)
        bound = marginalize(logits, lambda y: self.class_bound(x, a, y, sweep), sweep.seed)
        return tf.reduce_mean(bound - sweep.kl_weight * log_q_a, 0), logits

    def log_weights(self, x: tf.Tensor, draw: Draws) -> tf.Tensor:
        """log sum_y p(x,y,a,z_y) / (q(a|x) q(z_y|a,x,y)) at samples of q, scaled x [B, D]; [S, B].

        The mean of its exponential is p(x): importance samples with the class summed out.
        """
        noise_a, noise_z = (draw.noise(tf.shape(x)[0], units) for units in (self.auxiliary_units, self.latent_units))
        sweep = Sweep(noise_a, noise_z, draw.seed, draw.statistics, draw.kl_weight, at_sample=True)
        a, log_q_a = self.infer_auxiliary(x, sweep)
        of_classes = self._bounds_of_classes(x, a, sweep)  # [C, S, B]
        return tf.reduce_logsumexp(of_classes, 0) - log_q_a

    # The noise of a sweep.

    def training_sweep(self, seed: Any, rows: Any, statistics: Statistics) -> Sweep:
        """The sweep of `rows` examples in a training step."""
        return self.sweep(seed, rows, statistics)._replace(kl_weight=self.kl_weight)

    def sweep(self, seed: Any, rows: Any, statistics: Statistics = "average") -> Sweep:
        """The sweep of `rows` examples by `seed`, int32 [2]; without it noise is fixed and shared by all rows."""
        units = self.auxiliary_units, self.latent_units
        if seed is None:
            return fixed_sweep(self.samples, units, statistics)
        return drawn_sweep(seed, self.samples, rows, units, statistics)

    def prediction_sweep(self) -> Sweep:
        """Fixed noise of `prediction_samples` samples."""
        return fixed_sweep(self.prediction_samples, (self.auxiliary_units, self.latent_units))

    # Training and evaluation.

    def training_terms(self, data: Any, seeds: tf.Tensor) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
        (x_labeled, y), x_unlabeled = data["labeled"], data["unlabeled"]
        x_labeled, x_unlabeled = self.training_input(x_labeled, seeds[0]), self.training_input(x_unlabeled, seeds[1])
        sweep = self.training_sweep(seeds[2], tf.shape(x_labeled)[0], "batch")
        labeled, log_q_y = self._labeled_terms(x_labeled, y, sweep)
        sweep = self.training_sweep(seeds[3], tf.shape(x_unlabeled)[0], "update")
        unlabeled, logits = self._unlabeled_terms(x_unlabeled, sweep, STRATEGIES[self.marginalization])
        loss = bounds.objective(labeled, unlabeled, log_q_y, self.alpha, self.labeled_weight)
        loss += self._regularisers(x_unlabeled, logits, sweep, seeds[4])
        return loss, (labeled, unlabeled, -log_q_y)

    def _regularisers(self, x: tf.Tensor, logits: tf.Tensor, sweep: Sweep, seed: tf.Tensor) -> tf.Tensor:
        """What the options add to the paper's objective; scalar."""
        total = tf.constant(0.0)
        if self.prior_matching:
            share = tf.reduce_mean(tf.nn.softmax(logits), [0, 1])
            self.class_marginal.assign(MARGINAL_MOMENTUM * self.class_marginal + (1 - MARGINAL_MOMENTUM) * share)
            marginal = tf.stop_gradient(self.class_marginal.value)
            total += self.prior_matching * prior_mismatch(logits, marginal, self.prior_tolerance)
        if self.adversarial_radius:
            sweep = sweep._replace(statistics="batch")

            def classify(x: tf.Tensor) -> tf.Tensor:
                return self.class_logits(x, self.infer_auxiliary(x, sweep)[0], sweep)

            moved = virtual_adversarial(classify, x, logits, self.adversarial_radius, seed)
            total += self.adversarial_weight * tf.reduce_mean(moved)
        return total

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
        x, sweep = self.scaling(x), self.prediction_sweep()
        a, _ = self.infer_auxiliary(x, sweep)
        return tf.reduce_mean(tf.nn.softmax(self.class_logits(x, a, sweep)), 0)

    def log_likelihood_bound(self, x: Any, batch_size: int = 64) -> np.ndarray:
        """An estimate of -U(x), nats of the scaled features, over fixed samples and every class; [N].

        In expectation over the samples it is below log p(x) for binary or Gaussian features. Intensities between
        0 and 1 score as the expectation over their binary draws.
        """
        rows = tf.data.Dataset.from_tensor_slices(np.asarray(x)).batch(batch_size)
        return np.concatenate([self._exact_bounds(batch)[0].numpy() for batch in rows])

    def exact_bounds(self, x: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """`log_likelihood_bound` of one batch, [B], and bounds of log p(x|y) for every class, [B, C]."""
        x, sweep = self.scaling(x), self.prediction_sweep()
        a, log_q_a = self.infer_auxiliary(x, sweep)
        logits = self.class_logits(x, a, sweep)
        of_classes = self._bounds_of_classes(x, a, sweep)  # [C, S, B]
        total = exact(logits, lambda y: of_classes, sweep.seed) - log_q_a  # [S, B]
        given_y = tf.reduce_mean(of_classes - log_q_a, 1) - self.log_p_y  # [C, B]
        return tf.reduce_mean(total, 0), tf.transpose(given_y)

    def _bounds_of_classes(self, x: tf.Tensor, a: tf.Tensor, sweep: Sweep) -> tf.Tensor:
        """`class_bound` of every class, [C, S, B], one at a time: all together they would take C times the memory."""
        return tf.map_fn(
            lambda y: self.class_bound(x, a, y[None, None], sweep), tf.eye(self.classes), parallel_iterations=1
        )

    _exact_bounds = tf.function(exact_bounds, reduce_retracing=True)

    def generate(self, label: Any, seed: Any) -> tf.Tensor:
        """Examples [B, *features] of the classes `label` [B], the means of p(x|.), in the units of the data.

        `seed`, int32 [2], chooses z and a: the same label and seed give the same example.
        """
        label = tf.convert_to_tensor(label)
        if tf.executing_eagerly() and not bool(tf.reduce_all((label >= 0) & (label < self.classes))):
            raise ValueError(f"Expected labels from 0 to {self.classes - 1}. Received: {label.numpy()}")
        sweep = drawn_sweep(seed, 1, tf.shape(label)[0], (self.auxiliary_units, self.latent_units))
        return self.scaling.invert(self.decode(sweep.noise_z[0], tf.one_hot(label, self.classes), sweep.noise_a[0]))

    def analogies(self, x: Any, label: Any) -> tf.Tensor:
        """Every class in the style of examples x [B, *features] of classes `label` [B]; [B, C, *features]."""
        rows = self.scaling(x)
        z = self.infer_style(rows, tf.one_hot(label, self.classes))
        still = tf.zeros([tf.shape(rows)[0], self.auxiliary_units])
        by_class = [
            self.scaling.invert(self.decode(z, tf.broadcast_to(y, [tf.shape(rows)[0], self.classes]), still))
            for y in tf.eye(self.classes)
        ]
        return tf.stack(by_class, 1)

    # Construction.

    def build(self, input_shape: Any = None) -> None:
        if not self.built:
            super().build(input_shape)
            self.class_marginal = self.add_weight(
                shape=[self.classes],
                initializer=keras.initializers.Constant(1 / self.classes),
                trainable=False,
                name="class_marginal",
            )

    def get_config(self) -> dict[str, Any]:
        names = [
            "classes", "marginalization", "alpha", "labeled_weight", "adversarial_radius", "adversarial_weight",
            "prior_matching", "prior_tolerance", "prediction_samples",
        ]  # fmt: skip
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
