import numpy as np
import pytest
import tensorflow as tf

from tfadgm.inference.marginalization import STRATEGIES, exact, rao_blackwellised

SEED = tf.constant([1, 2])


def table_bound(table: tf.Tensor):
    """-L(x,y,a) = table[y], for any class axis in front."""

    def class_elbo(y: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(y * table, -1)

    return class_elbo


def brute_force(logits: np.ndarray, table: np.ndarray) -> np.ndarray:
    value = np.zeros(logits.shape[:-1])
    for index in np.ndindex(*logits.shape[:-1]):
        q = np.exp(logits[index] - logits[index].max())
        q /= q.sum()
        for y in range(len(q)):
            value[index] += q[y] * (table[index][y] - np.log(q[y]))
    return value


def test_exact_equals_the_loop_over_classes():
    generator = np.random.default_rng(0)
    logits, table = generator.normal(size=[2, 3, 4, 5]).astype(np.float32)
    value = exact(tf.constant(logits), table_bound(tf.constant(table)), SEED)
    np.testing.assert_allclose(value, brute_force(logits, table), rtol=1e-5)


def test_two_classes_need_no_draw():
    """With one class in the rest the Rao-Blackwellised estimate is the exact sum, and so is its gradient."""
    logits = tf.Variable(np.random.default_rng(0).normal(size=[2, 3, 2]), dtype=tf.float32)
    table = tf.Variable(np.random.default_rng(1).normal(size=[2, 3, 2]), dtype=tf.float32)
    results = []
    for strategy in (exact, rao_blackwellised):
        with tf.GradientTape() as tape:
            value = strategy(logits.value(), table_bound(table), SEED)
        results.append([value, *tape.gradient(value, [logits, table])])
    for left, right in zip(*results, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("logits", [[0.5, -0.3, 1.0, 0.2], [6.0, 0.0, 1.0, -1.0], [0.0, 0.0, 0.0, 0.0]])
def test_rao_blackwellised_is_unbiased_in_value_and_gradient(logits):
    """Mean over 50 x 4000 draws within 4.5 standard errors of the exact value, for every component;
    1e-4 is for sums of 4000 float32 numbers."""
    table = tf.constant([-3.0, 1.0, 2.0, -1.0])
    logits, draws = tf.constant(logits), 4000

    def estimate(strategy, seed, rows: int) -> np.ndarray:
        with tf.GradientTape() as tape:
            tape.watch([logits, table])
            value = strategy(tf.tile(logits[None, None], [1, rows, 1]), table_bound(table), seed)
            value = tf.reduce_mean(value)
        return np.concatenate([[value], *tape.gradient(value, [logits, table])])

    expected = estimate(exact, SEED, 1)
    means = np.stack([estimate(rao_blackwellised, tf.constant([7, chunk]), draws) for chunk in range(50)])
    error = means.std(0, ddof=1) / np.sqrt(len(means))
    assert (np.abs(means.mean(0) - expected) < 4.5 * error + 1e-4).all()
    assert error[1:5].max() > 1e-6  # the draws do matter


@pytest.mark.parametrize("strategy", STRATEGIES.values())
def test_a_certain_class_leaves_its_labeled_elbo(strategy):
    table = tf.constant([-30.0, 10.0, 20.0])
    for y in range(3):
        logits = 200 * tf.one_hot([[y]], 3)
        np.testing.assert_allclose(strategy(logits, table_bound(table), SEED), [[table[y]]], rtol=1e-6)


@pytest.mark.parametrize("strategy", STRATEGIES.values())
def test_equal_bounds_leave_bound_plus_entropy(strategy):
    value = strategy(tf.zeros([1, 1, 4]), table_bound(tf.fill([4], 3.0)), SEED)
    np.testing.assert_allclose(value, [[3.0 + np.log(4)]], rtol=1e-6)


def test_rao_blackwellised_evaluates_two_classes():
    rows = []

    def class_elbo(y: tf.Tensor) -> tf.Tensor:
        rows.append(y.shape[0])
        return tf.zeros(y.shape[:-1])

    rao_blackwellised(tf.zeros([1, 5, 1000]), class_elbo, SEED)
    assert rows == [2]
