"""A classifier without a model of x: cross-entropy on the labels, and regularizers on all points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfadgm.inference.sampling import Sampler
from tfadgm.models.classifier import Classifier


@keras.saving.register_keras_serializable("tfadgm")
class Discriminative(Classifier):
    """A network q(y|x), and nothing that explains x.

    With a virtual adversarial term it is VAT (Miyato et al. 2018); without regularizers it learns from labels alone.
    Batch normalisation predicts with the statistics of the labeled stream.

    Arguments as in `Classifier`.

    Examples:
        >>> model = Discriminative((4,), classes=3, hidden_units=(8,))
        >>> model(np.zeros([5, 4])).shape
        TensorShape([5, 3])
    """

    def __init__(self, feature_shape: Sequence[int], classes: int, **options: Any) -> None:
        super().__init__(feature_shape, classes, **options)
        self.q_y_x = self.categorical(classes, self.scaling.units)
        self.reports("label_nll", *(part.name for part in self.regularizers))
        self.build()

    def class_logits(self, x: tf.Tensor, sampler: Sampler) -> tf.Tensor:
        return self.q_y_x(x, bn_mode=sampler.bn_mode)[None]

    def training_terms(self, data: Any, seeds: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        (x_labeled, y), x_unlabeled = data["labeled"], data["unlabeled"]
        x_labeled, x_unlabeled = self.prepare_inputs(x_labeled, seeds[0]), self.prepare_inputs(x_unlabeled, seeds[1])
        nll = self.supervised_loss(x_labeled, tf.one_hot(y, self.classes), seeds[2], "update")
        sampler = self.sampler(seeds[3], tf.shape(x_unlabeled)[0], "batch")
        added, values = self.regularization(x_unlabeled, self.class_logits(x_unlabeled, sampler), sampler, seeds[4])
        return self.alpha * nll + added, {"label_nll": nll, **values}
