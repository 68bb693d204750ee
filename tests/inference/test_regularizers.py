import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import make_model, randomise
from tfadgm.inference.regularizers import VAT, DistributionAlignment, prior_mismatch, virtual_adversarial

KERNEL = tf.constant([[0.9, -0.4], [-0.2, 0.3], [0.5, 0.5]])  # x [B, 3] -> two classes


def linear(x: tf.Tensor) -> tf.Tensor:
    return (x @ KERNEL)[None]  # [1, B, 2]


def kl(logits: np.ndarray, moved: np.ndarray) -> np.ndarray:
    log_q, log_p = (np.asarray(tf.nn.log_softmax(values))[0] for values in (logits, moved))
    return (np.exp(log_q) * (log_q - log_p)).sum(-1)


def test_the_worst_change_of_a_linear_classifier_is_along_its_normal():
    x = tf.random.stateless_normal([20, 3], [0, 1])
    value = virtual_adversarial(linear, x, linear(x), 0.7, tf.constant([0, 2])).numpy()
    normal = (KERNEL[:, 0] - KERNEL[:, 1]).numpy()
    step = 0.7 * normal / np.linalg.norm(normal)
    ways = [kl(linear(x), linear(x + sign * step)) for sign in (1, -1)]
    np.testing.assert_allclose(np.min(np.abs(value - np.stack(ways)), 0), 0, atol=1e-5)
    for seed in range(20):  # no random change of the same length is worse by more than the curvature allows
        change = tf.math.l2_normalize(tf.random.stateless_normal([20, 3], [seed, 3]), -1) * 0.7
        assert (kl(linear(x), linear(x + change)) <= np.max(ways, 0) + 1e-6).all()


def test_the_target_takes_no_gradient():
    kernel, x = tf.Variable(KERNEL), tf.random.stateless_normal([20, 3], [0, 1])
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(virtual_adversarial(linear, x, (x @ kernel)[None], 0.7, tf.constant([0, 2])))
    assert value > 0
    assert tape.gradient(value, kernel) is None


def test_prior_mismatch_has_the_gradient_of_the_divergence():
    logits = tf.random.stateless_normal([2, 30, 5], [0, 1]) + tf.constant([2.0, 0, 0, 0, -1])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        marginal = tf.reduce_mean(tf.nn.softmax(logits), [0, 1])
        divergence = tf.reduce_sum(marginal * tf.math.log(5 * marginal))
        mismatch = prior_mismatch(logits, tf.stop_gradient(marginal))
    assert float(mismatch) == pytest.approx(float(divergence), abs=0.01)
    np.testing.assert_allclose(tape.gradient(mismatch, logits), tape.gradient(divergence, logits), atol=1e-4)


def test_shares_within_the_tolerance_cost_nothing():
    logits = tf.random.stateless_normal([1, 30, 4], [0, 1])
    inside, outside = tf.constant([0.29, 0.22, 0.25, 0.24]), tf.constant([0.4, 0.1, 0.25, 0.25])
    assert float(prior_mismatch(logits, inside, 0.2)) == 0.0
    with tf.GradientTape() as tape:
        tape.watch(logits)
        mismatch = prior_mismatch(logits, outside, 0.2)
    shares = tf.reduce_mean(tf.nn.softmax(logits), [0, 1])
    assert float(mismatch) == pytest.approx(
        float(shares[0] * np.log(1.6 / 1.2) + shares[1] * np.log(0.4 * 1.2)), rel=0.02
    )
    pull = tape.gradient(mismatch, logits).numpy().sum((0, 1))
    assert pull[0] > 0 > pull[1]  # descending lowers the first class and raises the second


@pytest.mark.parametrize("kind", ["M2", "SDGM"])
def test_options_change_the_loss_by_their_terms(kind, x):
    plain, both = (
        randomise(make_model(kind, regularizers=parts))
        for parts in ([], [DistributionAlignment(weight=2.0), VAT(epsilon=0.5, weight=3.0)])
    )
    rows, sampler, seed = plain.scaling(x), plain.sampler([1, 2], 5, "batch"), tf.constant([3, 4])
    logits = plain.class_logits(rows, sampler)
    assert float(plain.regularization(rows, logits, sampler, seed)[0]) == 0.0

    def classify(x):
        return plain.class_logits(x, sampler)

    before = both.class_marginal.numpy()
    total, values = both.regularization(rows, logits, sampler, seed)
    marginal = 0.9 * before + 0.1 * tf.reduce_mean(tf.nn.softmax(logits), [0, 1]).numpy()
    np.testing.assert_allclose(both.class_marginal, marginal, rtol=1e-5)
    adversarial = tf.reduce_mean(virtual_adversarial(classify, rows, logits, 0.5, seed))
    mismatch = prior_mismatch(logits, marginal)
    assert float(total) == pytest.approx(float(3.0 * adversarial + 2.0 * mismatch), rel=1e-4)
    assert float(values["vat"]) == pytest.approx(float(adversarial), rel=1e-4)
    assert float(values["distribution_alignment"]) == pytest.approx(float(mismatch), rel=1e-4)
