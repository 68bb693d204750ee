"""What every semi-supervised deep generative model shares: both bounds, the objective of two streams, generation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import tensorflow as tf

from tfadgm.hyperparameters import AtLeast, OneOf
from tfadgm.inference import elbo
from tfadgm.inference.marginalization import STRATEGIES, exact
from tfadgm.inference.sampling import Sampler
from tfadgm.models.classifier import Classifier
from tfadgm.nn.normalization import BatchNormMode

STREAMS = "unlabeled", "labeled"


class DeepGenerativeClassifier(Classifier):
    """A classifier q(y|a,x) learned together with a deep generative model of x.

    A subclass declares its networks and implements `infer_auxiliary`, `logits_given`, `class_elbo` and `decode`.

    Arguments as in `Classifier`, and

        latent_units, marginalization, samples, labeled_weight, batch_norm_stream: as annotated.

    Examples:
        >>> model = SDGM((4,), classes=3, hidden_units=(8,), latent_units=2, auxiliary_units=2)
        >>> model.generate([0, 2], seed=(0, 1)).shape
        TensorShape([2, 4])
        >>> model.analogies(np.zeros([5, 4]), np.zeros(5, int)).shape
        TensorShape([5, 3, 4])
    """

    auxiliary_units = 0

    def __init__(
        self,
        feature_shape: Sequence[int],
        classes: int,
        *,
        latent_units: Annotated[int, AtLeast(1), "units of the latent variable z"] = 100,
        marginalization: Annotated[
            str, OneOf(STRATEGIES), "sum over the unknown class: exact or rao_blackwellised"
        ] = "exact",
        samples: Annotated[int, AtLeast(1), "samples of a and z per example and step"] = 1,
        labeled_weight: Annotated[
            float, AtLeast(0), "weight of the bound of labeled examples beside that of unlabeled ones"
        ] = 1.0,
        batch_norm_stream: Annotated[
            str, OneOf(STREAMS), "stream whose statistics batch normalization predicts with: unlabeled or labeled"
        ] = "unlabeled",
        **options: Any,
    ) -> None:
        super().__init__(feature_shape, classes, **options)
        self.latent_units, self.marginalization = latent_units, marginalization
        self.batch_norm_stream = batch_norm_stream
        self.samples, self.labeled_weight = samples, labeled_weight
        self.reports("labeled_elbo", "unlabeled_elbo", "label_nll", *(part.name for part in self.regularizers))

    @property
    def drawn(self) -> Mapping[str, int]:
        return {"a": self.auxiliary_units, "z": self.latent_units}

    # The parts of a factorisation. x is scaled, [B, D]; y is one-hot.

    def infer_auxiliary(self, x: tf.Tensor, sampler: Sampler) -> tuple[tf.Tensor, tf.Tensor]:
        """A sample a ~ q(a|x) [S, B, A] and log q(a|x) [S, B]."""
        raise NotImplementedError

    def logits_given(self, x: tf.Tensor, a: tf.Tensor, sampler: Sampler) -> tf.Tensor:
        """Logits of q(y|a,x), [S, B, C]."""
        raise NotImplementedError

    def class_elbo(self, x: tf.Tensor, a: tf.Tensor, y: tf.Tensor, sampler: Sampler) -> tf.Tensor:
        """log p(x,y,a,z) - log q(z|a,x,y) for y [K, 1 or S, 1 or B, C], [K, S, B]."""
        raise NotImplementedError

    def decode(self, z: tf.Tensor, y: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """Mean of p(x|.) given z [B, Z], y [B, C] and the noise of a [B, A]; scaled, [B, D]."""
        raise NotImplementedError

    def infer_style(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """The mean of q(z|.) given y [B, C], and a at its mean; [B, Z]."""
        raise NotImplementedError

    def class_logits(self, x: tf.Tensor, sampler: Sampler) -> tf.Tensor:
        return self.logits_given(x, self.infer_auxiliary(x, sampler)[0], sampler)

    # The bounds.

    def labeled_elbo(self, x: Any, y: Any, *, seed: Any = None, bn_mode: BatchNormMode = "average") -> tf.Tensor:
        """-L(x,y), a lower bound of log p(x,y), in nats of the scaled features; [B].

        Args:
            x: [B, *features] in the units of the data.
            y: [B] class indices.
            seed: int32 [2]; without it the noise is constant and shared by all rows.
            bn_mode: which statistics batch normalization uses.
        """
        x = self.scaling(x)
        return self.labeled_terms(x, y, self.sampler(seed, tf.shape(x)[0], bn_mode))[0]

    def unlabeled_elbo(self, x: Any, *, seed: Any = None, bn_mode: BatchNormMode = "average") -> tf.Tensor:
        """-U(x), a lower bound of log p(x) by the model's marginalization; [B]. Arguments as in `labeled_elbo`."""
        x = self.scaling(x)
        return self.unlabeled_terms(x, self.sampler(seed, tf.shape(x)[0], bn_mode))[0]

    def labeled_terms(self, x: tf.Tensor, y: Any, sampler: Sampler) -> tuple[tf.Tensor, tf.Tensor]:
        """-L(x,y) [B] and log q(y|a,x) [B], both with the same sample of a, for scaled x [B, D]."""
        one_hot = tf.one_hot(y, self.classes)  # [B, C]
        a, log_q_a = self.infer_auxiliary(x, sampler)
        log_q = tf.nn.log_softmax(self.logits_given(x, a, sampler))  # [S, B, C]
        bound = self.class_elbo(x, a, one_hot[None, None], sampler)[0] - sampler.kl_weight * log_q_a  # [S, B]
        return tf.reduce_mean(bound, 0), tf.reduce_mean(tf.reduce_sum(one_hot * log_q, -1), 0)

    def unlabeled_terms(self, x: tf.Tensor, sampler: Sampler) -> tuple[tf.Tensor, tf.Tensor]:
        """-U(x) [B] and the logits of q(y|a,x) [S, B, C], for scaled x [B, D]."""
        a, log_q_a = self.infer_auxiliary(x, sampler)
        logits = self.logits_given(x, a, sampler)
        marginalize = STRATEGIES[self.marginalization]
        bound = marginalize(logits, lambda y: self.class_elbo(x, a, y, sampler), sampler.seed)
        return tf.reduce_mean(bound - sampler.kl_weight * log_q_a, 0), logits

    def log_weights(self, x: tf.Tensor, sampler: Sampler) -> tf.Tensor:
        """log sum_y p(x,y,a,z_y) / (q(a|x) q(z_y|a,x,y)) at samples of q, scaled x [B, D]; [S, B].

        The mean of its exponential is p(x): importance samples with the class summed out.
        """
        noise = {name: sampler.normal(tf.shape(x)[0], units) for name, units in self.drawn.items()}
        sampler = sampler.replace(noise=noise)
        a, log_q_a = self.infer_auxiliary(x, sampler)
        of_classes = self._elbos_of_classes(x, a, sampler)  # [C, S, B]
        return tf.reduce_logsumexp(of_classes, 0) - log_q_a

    # Training.

    def training_terms(self, data: Any, seeds: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        (x_labeled, y), x_unlabeled = data["labeled"], data["unlabeled"]
        x_labeled, x_unlabeled = self.prepare_inputs(x_labeled, seeds[0]), self.prepare_inputs(x_unlabeled, seeds[1])
        modes: tuple[BatchNormMode, BatchNormMode] = ("batch", "update")
        if self.batch_norm_stream == "labeled":
            modes = ("update", "batch")
        sampler = self.sampler(seeds[2], tf.shape(x_labeled)[0], modes[0], kl_weight=self.kl_weight)
        labeled, log_q_y = self.labeled_terms(x_labeled, y, sampler)
        sampler = self.sampler(seeds[3], tf.shape(x_unlabeled)[0], modes[1], kl_weight=self.kl_weight)
        unlabeled, logits = self.unlabeled_terms(x_unlabeled, sampler)
        loss = elbo.objective(labeled, unlabeled, log_q_y, self.alpha, self.labeled_weight)
        added, values = self.regularization(x_unlabeled, logits, sampler, seeds[4])
        return loss + added, {"labeled_elbo": labeled, "unlabeled_elbo": unlabeled, "label_nll": -log_q_y, **values}

    # What a user asks of a trained model. All of it is deterministic.

    def log_likelihood_bound(self, x: Any, batch_size: int = 64) -> np.ndarray:
        """An estimate of -U(x), nats of the scaled features, over constant samples and every class; [N].

        In expectation over the samples it is below log p(x) for binary or Gaussian features. Intensities between
        0 and 1 score as the expectation over their binary draws.
        """
        rows = tf.data.Dataset.from_tensor_slices(np.asarray(x)).batch(batch_size)
        elbos = self.traced(self.exact_elbos, reduce_retracing=True)
        return np.concatenate([elbos(batch)[0].numpy() for batch in rows])

    def exact_elbos(self, x: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """`log_likelihood_bound` of one batch, [B], and bounds of log p(x|y) for every class, [B, C]."""
        x, sampler = self.scaling(x), self.prediction_sampler()
        a, log_q_a = self.infer_auxiliary(x, sampler)
        logits = self.logits_given(x, a, sampler)
        of_classes = self._elbos_of_classes(x, a, sampler)  # [C, S, B]
        total = exact(logits, lambda y: of_classes, sampler.seed) - log_q_a  # [S, B]
        log_p_y = self.log_p_y(tf.eye(self.classes)[:, None])  # [C, 1]
        given_y = tf.reduce_mean(of_classes - log_q_a, 1) - log_p_y  # [C, B]
        return tf.reduce_mean(total, 0), tf.transpose(given_y)

    def _elbos_of_classes(self, x: tf.Tensor, a: tf.Tensor, sampler: Sampler) -> tf.Tensor:
        """`class_elbo` of every class, [C, S, B], one at a time: all together they would take C times the memory."""
        return tf.map_fn(
            lambda y: self.class_elbo(x, a, y[None, None], sampler), tf.eye(self.classes), parallel_iterations=1
        )

    def generate(self, label: Any, seed: Any) -> tf.Tensor:
        """Examples [B, *features] of the classes `label` [B], the means of p(x|.), in the units of the data.

        `seed`, int32 [2], chooses z and a: the same label and seed give the same example.
        """
        label = tf.convert_to_tensor(label)
        if tf.executing_eagerly() and not bool(tf.reduce_all((label >= 0) & (label < self.classes))):
            raise ValueError(f"Expected labels from 0 to {self.classes - 1}. Received: {label.numpy()}")
        noise = Sampler.shared(seed, 1, tf.shape(label)[0], self.drawn).noise
        return self.scaling.invert(self.decode(noise["z"][0], tf.one_hot(label, self.classes), noise["a"][0]))

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
