"""What a pass depends on: shared noise, fresh noise, and divergences in expectation or at a sample."""

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfadgm.inference.sampling import Sampler

Q = tfd.Independent(tfd.Normal([[1.0, -2.0]] * 3, [[0.5, 2.0]] * 3), 1)


def test_shared_noise_is_the_same_at_every_call_and_differs_between_variables():
    sampler = Sampler.shared((0, 1), 2, 3, {"a": 2, "z": 2})
    np.testing.assert_array_equal(sampler(Q, "z"), sampler(Q, "z"))
    assert (sampler(Q, "a").numpy() != sampler(Q, "z").numpy()).all()
    np.testing.assert_allclose(sampler(Q, "z"), Q.mean() + Q.stddev() * sampler.noise["z"])


def test_other_variables_are_drawn_afresh_and_repeat_with_the_seed():
    first, second = Sampler((0, 1), 2), Sampler((0, 1), 2)
    draws = [first(Q).numpy() for _ in range(2)]
    assert (draws[0] != draws[1]).all()
    np.testing.assert_array_equal(draws[0], second(Q))


def test_constant_noise_is_antithetic_and_shared_by_all_rows():
    sampler = Sampler.constant(4, {"a": 3, "z": 2})
    for name, units in (("a", 3), ("z", 2)):
        noise = sampler.noise[name].numpy()
        assert noise.shape == (4, 1, units)
        np.testing.assert_array_equal(noise[2:], -noise[:2])


def test_a_copy_keeps_the_noise_and_leaves_the_original():
    sampler = Sampler.shared((0, 1), 1, 3, {"z": 2})
    other = sampler.replace(bn_mode="batch", kl_weight=0.5)
    assert (other.bn_mode, other.kl_weight, sampler.bn_mode, sampler.kl_weight) == ("batch", 0.5, "average", 1.0)
    np.testing.assert_array_equal(other(Q, "z"), sampler(Q, "z"))


def test_divergences_by_monte_carlo():
    """The expectation is the mean of those at samples (5 standard errors)."""
    sampler = Sampler((0, 1), 20_000)
    at_samples = sampler.kl(Q, sampler(Q)).numpy()
    exact = sampler.replace(analytic_kl=True).kl(Q, tf.zeros([3, 2])).numpy()
    error = at_samples.std(0) / np.sqrt(len(at_samples))
    assert (np.abs(at_samples.mean(0) - exact) < 5 * error).all()
