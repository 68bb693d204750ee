"""Two additions to the paper's objective that help when labels are very few. Both are zero by default."""

from __future__ import annotations

import math
from collections.abc import Callable

import tensorflow as tf

from tfadgm.sweep import GENERATOR

POWER_STEP = 0.1  # length of the trial perturbation, in scaled features


def virtual_adversarial(
    classify: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor, logits: tf.Tensor, radius: float, seed: tf.Tensor
) -> tf.Tensor:
    """How far q(y|a,x) moves under the worst small change of x: KL(q(x) || q(x + r)), nats; [B].

    The change r has length `radius` in scaled features and is found by one power iteration from a random direction
    (Miyato et al. 2016, arXiv 1507.00677, algorithm 1).

    Args:
        classify: x [B, D] -> logits [S, B, C], with everything random in it fixed.
        x: scaled features [B, D].
        logits: classify(x), the target, which takes no gradient.
        radius: length of r.
        seed: int32 [2], of the random direction.
    """
    log_q = tf.stop_gradient(tf.nn.log_softmax(logits))

    def divergence(change: tf.Tensor) -> tf.Tensor:
        log_p = tf.nn.log_softmax(classify(x + change))
        return tf.reduce_mean(tf.reduce_sum(tf.exp(log_q) * (log_q - log_p), -1), 0)  # [B]

    start = tf.random.stateless_normal(tf.shape(x), seed, alg=GENERATOR)
    trial = POWER_STEP * tf.math.l2_normalize(start, -1)
    with tf.GradientTape() as tape:
        tape.watch(trial)
        moved = divergence(trial)
    direction = tf.stop_gradient(tape.gradient(moved, trial))
    return divergence(radius * tf.math.l2_normalize(direction, -1, epsilon=1e-24))


def prior_mismatch(logits: tf.Tensor, marginal: tf.Tensor, tolerance: float = 0.0) -> tf.Tensor:
    """Has the gradient of KL(mean_x q(y|a,x) || p(y)) for a uniform p(y), nats; scalar.

    The divergence is taken at `marginal` [C], a running mean of q over batches, because the mean over one batch is
    too noisy an estimate of it. Shares between 1 / (1 + `tolerance`) and 1 + `tolerance` times the uniform one
    cost nothing: classes are seldom of one size exactly.
    """
    classes = logits.shape[-1]
    log_ratio = tf.math.log(classes * marginal + 1e-3)  # log q(y) / p(y)
    surplus = tf.sign(log_ratio) * tf.nn.relu(tf.abs(log_ratio) - math.log1p(tolerance))
    return tf.reduce_mean(tf.reduce_sum(tf.nn.softmax(logits) * surplus, -1))
