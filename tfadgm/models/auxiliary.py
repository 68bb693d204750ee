"""What the models with an auxiliary variable share: how a and y are inferred."""

from __future__ import annotations

import tensorflow as tf

from tfadgm.bounds import reparameterize
from tfadgm.models.semi_supervised import SemiSupervisedModel
from tfadgm.networks import Conditional
from tfadgm.sweep import Sweep


class AuxiliaryModel(SemiSupervisedModel):
    """The inference of the models with an auxiliary variable: q(a|x) q(y|a,x) q(z|a,x,y)."""

    q_a_x: Conditional
    q_y_ax: Conditional
    q_z_axy: Conditional

    def infer_auxiliary(self, x: tf.Tensor, sweep: Sweep) -> tuple[tf.Tensor, tf.Tensor]:
        q_a = self.q_a_x.distribution(x, statistics=sweep.statistics)
        a = reparameterize(q_a, sweep.noise_a)  # [S, B, A]
        return a, q_a.log_prob(a)

    def class_logits(self, x: tf.Tensor, a: tf.Tensor, sweep: Sweep) -> tf.Tensor:
        return self.q_y_ax(a, x, statistics=sweep.statistics)

    def infer_style(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        return self.q_z_axy.distribution(self.q_a_x.distribution(x).mean(), x, y).mean()

    def embed(self, x: tf.Tensor) -> tf.Tensor:
        """The mean of q(a|x), [B, A]; x [B, *features] in the units of the data."""
        return self.q_a_x.distribution(self.scaling(x)).mean()
