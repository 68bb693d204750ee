"""The formulas of the bounds, as pure functions. Nats; per example unless it says otherwise.

An ELBO is a lower bound of a log-likelihood: the larger the better, everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import tensorflow as tf
from tensorflow_probability import distributions as tfd


def standard_normal(units: int) -> tfd.Distribution:
    """p(z) = N(0, I)."""
    return tfd.Independent(tfd.Normal(tf.zeros(units), tf.ones(units)), 1)


def reparameterize(q: tfd.Distribution, noise: tf.Tensor) -> tf.Tensor:
    """A sample of a diagonal Gaussian `q` by standard normal `noise`, which may be shared between its batch axes.

    Noise shared by the classes (common random numbers) leaves the bounds unbiased and takes the sampling noise
    out of their differences, which are what moves q(y|a,x).
    """
    return q.mean() + q.stddev() * noise


def kl_from_prior(q_z: tfd.Distribution, z: tf.Tensor | None = None) -> tf.Tensor:
    """KL(q(z) || N(0, I)), or log q(z) - log p(z) at the sample `z`."""
    p_z = standard_normal(q_z.event_shape[0])
    return tfd.kl_divergence(q_z, p_z) if z is None else q_z.log_prob(z) - p_z.log_prob(z)


def class_elbo(
    log_p_x: tf.Tensor,
    log_p_y: tf.Tensor | float,
    kl_z: tf.Tensor,
    log_p_a: tf.Tensor | float = 0.0,
    kl_weight: tf.Tensor | float = 1.0,
) -> tf.Tensor:
    """-L(x,y,a) = E_q(z)[log p(x|.) + log p(a|.)] + log p(y) - KL(q(z|.) || p(z)) (Maaløe et al. 2016, eq. 8).

    The densities are those at a sample of z; the divergence may be exact. `kl_weight` scales it and log p(a|.), the
    prior's part in the divergence of a (Sønderby et al. 2016).
    """
    return log_p_x + log_p_y + kl_weight * (log_p_a - kl_z)


def importance_weighted(log_weights: tf.Tensor, importance_samples: int = 1) -> tf.Tensor:
    """log mean_K exp(log w), averaged over the rest of the samples: [S, B] to [B] (Burda et al. 2016, eq. 8).

    With K = 1 it is the evidence lower bound, with all samples the estimate of log p(x).

    Examples:
        >>> weights = tf.constant([[0.25], [0.75]])
        >>> round(float(importance_weighted(tf.math.log(weights), 2)[0]), 4)  # log 0.5
        -0.6931
    """
    groups = tf.reshape(log_weights, [-1, importance_samples, log_weights.shape[-1] or tf.shape(log_weights)[-1]])
    return tf.reduce_mean(tf.reduce_logsumexp(groups, 1) - math.log(importance_samples), 0)


def objective(
    labeled_elbo: tf.Tensor,
    unlabeled_elbo: tf.Tensor,
    log_q_y: tf.Tensor,
    alpha: float,
    labeled_weight: float = 1.0,
) -> tf.Tensor:
    """w * mean_l L(x,y) + mean_u U(x) + alpha * mean_l(-log q(y|a,x)), to be minimised. Scalar (eq. 9 to 11).

    Args:
        labeled_elbo: -L(x,y) [B_l].
        unlabeled_elbo: -U(x) [B_u].
        log_q_y: log q(y|a,x) of the labeled examples [B_l].
        alpha: weight of the classification term on the mean per example.
        labeled_weight: w, 1 in the paper.
    """
    elbo = labeled_weight * tf.reduce_mean(labeled_elbo) + tf.reduce_mean(unlabeled_elbo)
    return -elbo - alpha * tf.reduce_mean(log_q_y)


def sum_of_squares(weights: Sequence[tf.Tensor]) -> tf.Tensor:
    """Of every entry; scalar. A matrix product adds up the columns: XLA is slow at sums over all entries."""
    total = tf.constant(0.0)
    for weight in weights:
        rows = tf.reshape(tf.square(weight), [-1, weight.shape[-1]])
        total += tf.reduce_sum(tf.ones([1, rows.shape[0]]) @ rows)
    return total


@tf.custom_gradient
def weight_log_prior(*weights: tf.Tensor) -> tuple[tf.Tensor, Callable]:
    """log N(W; 0, 1) of all weights, without its constant. Scalar."""
    return -0.5 * sum_of_squares(weights), lambda upstream: [-upstream * weight for weight in weights]


def clip_by_global_norm(gradients: Sequence[tf.Tensor], largest: float) -> list[tf.Tensor]:
    """`gradients`, scaled down together to a norm of at most `largest` (Pascanu et al. 2013)."""
    scale = tf.minimum(1.0, largest * tf.math.rsqrt(sum_of_squares(gradients)))
    return [scale * gradient for gradient in gradients]
