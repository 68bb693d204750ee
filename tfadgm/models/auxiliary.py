"""What the models with an auxiliary variable share: how a and y are inferred."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import tensorflow as tf

from tfadgm.hyperparameters import AtLeast
from tfadgm.inference.sampling import Sampler
from tfadgm.models.deep_generative import DeepGenerativeClassifier
from tfadgm.nn.conditionals import Conditional


class AuxiliaryModel(DeepGenerativeClassifier):
    """The inference of the models with an auxiliary variable: q(a|x) q(y|a,x) q(z|a,x,y).

    Arguments as in `DeepGenerativeClassifier`, and

        auxiliary_units: size of a.

    Examples:
        >>> model = ADGM((4,), classes=3, hidden_units=(8,), latent_units=2, auxiliary_units=2)
        >>> model.embed(np.zeros([5, 4])).shape
        TensorShape([5, 2])
    """

    q_a_x: Conditional
    q_y_ax: Conditional
    q_z_axy: Conditional

    def __init__(
        self,
        feature_shape: Sequence[int],
        classes: int,
        *,
        auxiliary_units: Annotated[int, AtLeast(1), "units of the auxiliary variable a"] = 100,
        **options: Any,
    ) -> None:
        super().__init__(feature_shape, classes, **options)
        self.auxiliary_units = auxiliary_units

    def infer_auxiliary(self, x: tf.Tensor, sampler: Sampler) -> tuple[tf.Tensor, tf.Tensor]:
        q_a = self.q_a_x.distribution(x, bn_mode=sampler.bn_mode)
        a = sampler(q_a, "a")  # [S, B, A]
        return a, q_a.log_prob(a)

    def logits_given(self, x: tf.Tensor, a: tf.Tensor, sampler: Sampler) -> tf.Tensor:
        return self.q_y_ax(a, x, bn_mode=sampler.bn_mode)

    def infer_style(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        return self.q_z_axy.distribution(self.q_a_x.distribution(x).mean(), x, y).mean()

    def embed(self, x: tf.Tensor) -> tf.Tensor:
        """The mean of q(a|x), [B, A]; x [B, *features] in the units of the data."""
        return self.q_a_x.distribution(self.scaling(x)).mean()
