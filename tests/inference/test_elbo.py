import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfadgm.inference import elbo
from tfadgm.inference.elbo import kl_from_prior


def gaussian(mean, deviation) -> tfd.Distribution:
    return tfd.Independent(tfd.Normal(tf.constant(mean, tf.float32), tf.constant(deviation, tf.float32)), 1)


MEAN, DEVIATION = np.array([[0.3, -1.0], [2.0, 0.0]]), np.array([[0.5, 1.5], [1.0, 2.0]])


def test_class_elbo_in_closed_form():
    kl = 0.5 * (DEVIATION**2 + MEAN**2 - 1 - 2 * np.log(DEVIATION)).sum(1)
    value = elbo.class_elbo(
        tf.constant([1.0, 2.0]), -0.5, kl_from_prior(gaussian(MEAN, DEVIATION)), tf.constant([0.1, 0.2])
    )
    np.testing.assert_allclose(value, np.array([1.1, 2.2]) - 0.5 - kl, rtol=1e-5)


def test_a_kl_weight_scales_the_divergences_alone():
    kl, log_p_a = kl_from_prior(gaussian(MEAN, DEVIATION)), tf.constant([0.1, 0.2])
    full, none, part = (elbo.class_elbo(tf.constant([1.0, 2.0]), -0.5, kl, log_p_a, weight) for weight in (1, 0, 0.3))
    np.testing.assert_allclose(none, [0.5, 1.5])
    np.testing.assert_allclose(part, 0.3 * full + 0.7 * none, rtol=1e-5)


def test_class_elbo_by_monte_carlo():
    """The exact divergence equals the mean of log p(z) - log q(z) over samples (5 standard errors)."""
    q = gaussian(MEAN, DEVIATION)
    z = q.sample(50_000, seed=[0, 1])
    sampled = (elbo.standard_normal(2).log_prob(z) - q.log_prob(z)).numpy()
    error = sampled.std(0) / np.sqrt(len(sampled))
    assert (np.abs(sampled.mean(0) - elbo.class_elbo(0.0, 0.0, kl_from_prior(q))) < 5 * error).all()


def test_a_posterior_equal_to_the_prior_costs_nothing():
    value = elbo.class_elbo(tf.constant([-7.0]), 0.0, kl_from_prior(gaussian(np.zeros([1, 3]), np.ones([1, 3]))))
    np.testing.assert_allclose(value, [-7.0])


def test_reparameterized_samples_have_the_moments_of_q():
    noise = tf.random.stateless_normal([100_000, 1, 2], [0, 1])
    z = elbo.reparameterize(gaussian(MEAN, DEVIATION), noise).numpy()
    np.testing.assert_allclose(z.mean(0), MEAN, atol=0.03)
    np.testing.assert_allclose(z.std(0), DEVIATION, rtol=0.02)
    # One noise for both rows: their standardised samples are equal.
    standard = (z - MEAN) / DEVIATION
    np.testing.assert_allclose(standard[:, 0], standard[:, 1], atol=1e-4)


def test_objective_reduces_each_stream_by_its_mean():
    value = elbo.objective(tf.constant([-1.0, -3.0]), tf.constant([-10.0]), tf.constant([-0.5, -1.5]), alpha=60.0)
    assert float(value) == pytest.approx(2.0 + 10.0 + 60.0)


def test_weight_prior_up_to_its_constant():
    weights = [tf.constant([[1.0, -2.0], [0.5, 4.0]]), tf.constant([3.0])]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(weights)
        by_tfp = tf.add_n([tf.reduce_sum(tfd.Normal(0.0, 1.0).log_prob(weight)) for weight in weights])
        doubled = 2 * elbo.weight_log_prior(*weights)
    constant = 5 * -0.5 * np.log(2 * np.pi)
    assert float(doubled) == pytest.approx(2 * (float(by_tfp) - constant))
    for ours, theirs in zip(tape.gradient(doubled, weights), tape.gradient(by_tfp, weights), strict=True):
        np.testing.assert_allclose(ours, 2 * theirs)


@pytest.mark.parametrize("largest", [0.5, 1e3])
def test_gradients_are_clipped_together(largest):
    gradients = [tf.constant([[1.0, -2.0], [0.5, 4.0]]), tf.constant([3.0])]
    expected, _ = tf.clip_by_global_norm(gradients, largest)
    for ours, theirs in zip(elbo.clip_by_global_norm(gradients, largest), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_at_a_sample_the_divergence_is_the_difference_of_densities():
    q, z = gaussian(MEAN, DEVIATION), tf.constant([[0.1, 0.2], [0.3, 0.4]])
    expected = q.log_prob(z) - tfd.Normal(0.0, 1.0).log_prob(z).numpy().sum(1)
    np.testing.assert_allclose(kl_from_prior(q, z), expected, rtol=1e-5)
