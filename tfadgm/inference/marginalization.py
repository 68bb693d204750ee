"""The sum over the unknown class: sum_y q(y|a,x) (-L(x,y,a)) + H(q(y|a,x)).

A strategy is called with

    logits       [S, B, C]  of q(y|a,x)
    class_elbo  y one-hot [K, 1 or S, 1 or B, C] -> -L(x,y,a) [K, S, B], the class on its own leading axis
    seed         int32 [2]

and returns [S, B].
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

ClassElbo = Callable[[tf.Tensor], tf.Tensor]


def exact(logits: tf.Tensor, class_elbo: ClassElbo, seed: tf.Tensor) -> tf.Tensor:
    """Every class, weighted by its probability: C rows an example."""
    log_q = tf.nn.log_softmax(logits)
    classes = logits.shape[-1]
    elbos = class_elbo(tf.eye(classes)[:, None, None, :])  # [C, S, B]
    elbos = tf.transpose(elbos, [1, 2, 0])  # [S, B, C]
    return tf.reduce_sum(tf.exp(log_q) * (elbos - log_q), -1)


def rao_blackwellised(logits: tf.Tensor, class_elbo: ClassElbo, seed: tf.Tensor) -> tf.Tensor:
    """The most probable class exactly and one class drawn from the rest: 2 rows an example for any C.

    Unbiased in value and gradient (Liu et al. 2019, arXiv 1810.04777). The score-function gradient of the drawn
    class has the ELBO of the most probable class as its control variate; the entropy is exact. Batch normalization
    by the batch makes the ELBO of a row depend on the other rows, and so on the classes drawn for them: unbiasedness
    is then that of the whole batch's normalization held fixed.
    """
    classes = logits.shape[-1]
    log_q = tf.nn.log_softmax(logits)
    entropy = -tf.reduce_sum(tf.exp(log_q) * log_q, -1)
    top = tf.one_hot(tf.argmax(logits, -1), classes)  # [S, B, C]
    rest = tf.where(top > 0, tf.constant(-1e9), log_q)  # unnormalised log q of the other classes
    mass = tf.exp(tf.reduce_logsumexp(rest, -1))  # 1 - q(top), [S, B]

    drawn = tf.random.stateless_categorical(tf.reshape(rest, [-1, classes]), 1, seed)
    drawn = tf.one_hot(tf.reshape(drawn, tf.shape(mass)), classes)  # [S, B, C]
    log_q_drawn = tf.reduce_sum(drawn * tf.nn.log_softmax(rest), -1)

    elbo_top, elbo_drawn = tf.unstack(class_elbo(tf.stack([top, drawn])))
    value = tf.exp(tf.reduce_sum(top * log_q, -1)) * elbo_top + mass * elbo_drawn
    score = tf.stop_gradient(mass * (elbo_drawn - elbo_top)) * log_q_drawn
    return value + entropy + (score - tf.stop_gradient(score))


STRATEGIES = {"exact": exact, "rao_blackwellised": rao_blackwellised}
