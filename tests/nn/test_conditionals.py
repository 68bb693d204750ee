import keras
import numpy as np
import pytest
import tensorflow as tf

from tfadgm.nn.conditionals import LOG_VARIANCE_BOUND, Bernoulli, Categorical, Gaussian
from tfadgm.nn.normalization import BatchNorm

FAMILIES = (Bernoulli, Categorical, Gaussian)


def network(family, **options):
    keras.utils.set_random_seed(0)
    layer = family(4, input_units=(3, 2), **{"hidden_units": (6, 5), **options})
    layer.build()
    generator = np.random.default_rng(0)
    for weight in layer.weights:
        weight.assign(generator.uniform(0.5, 1.5, weight.shape))
    return layer


def numpy_network(layer, rows: np.ndarray) -> np.ndarray:
    """The same network on concatenated inputs, batch normalisation by its running averages."""
    dense = [np.concatenate([p.kernel.numpy() for p in layer.projections]), *(d.kernel.numpy() for d in layer.layers)]
    biases = [next((p.bias.numpy() for p in layer.projections if p.use_bias), 0.0)]
    biases += [d.bias.numpy() if d.use_bias else 0.0 for d in layer.layers]
    for index, (kernel, bias) in enumerate(zip(dense, biases, strict=True)):
        rows = rows @ kernel + bias
        if index < len(dense) - 1:
            if layer.norms:
                norm = layer.norms[index]
                rows = (rows - norm.mean.numpy()) / np.sqrt(norm.variance.numpy() + norm.epsilon)
                rows = rows * norm.gamma.numpy() + norm.beta.numpy()
            rows = np.maximum(rows, 0)
    return rows


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("hidden_units", [(), (6,), (6, 5)])
def test_separate_inputs_equal_concatenated_ones(family, batch_norm, hidden_units):
    layer = network(family, batch_norm=batch_norm and bool(hidden_units), hidden_units=hidden_units)
    a, b = np.random.default_rng(1).normal(size=[2, 7, 3]).astype(np.float32)[..., :3], None
    a, b = a[0], np.random.default_rng(2).normal(size=[7, 2]).astype(np.float32)
    np.testing.assert_allclose(layer(a, b), numpy_network(layer, np.concatenate([a, b], 1)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_inputs_broadcast_like_tiled_ones(family):
    layer = network(family)
    a = tf.constant(np.random.default_rng(1).normal(size=[7, 3]), tf.float32)
    y = tf.eye(2)[:, None, :]  # [2, 1, 2]
    output = layer(a, y, bn_mode="batch")
    tiled = layer(tf.tile(a, [2, 1]), tf.repeat(tf.eye(2), 7, 0), bn_mode="batch")
    assert output.shape == (2, 7, layer.parameters * 4)
    np.testing.assert_allclose(tf.reshape(output, [14, -1]), tiled, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [1e3, 1e8, 1e30])
def test_log_variances_are_bounded(size):
    layer = network(Gaussian, batch_norm=False)
    for sign in (-1, 1):
        q = layer.distribution(tf.fill([1, 3], size * sign), tf.fill([1, 2], size * sign))
        deviation = q.stddev().numpy()
        assert (deviation >= 0.999 * np.exp(-LOG_VARIANCE_BOUND / 2)).all()
        assert (deviation <= 1.001 * np.exp(LOG_VARIANCE_BOUND / 2)).all()


def test_intensities_score_as_the_expectation_over_their_draws():
    layer = network(Bernoulli)
    inputs = tf.random.stateless_normal([1, 3], [0, 1]), tf.random.stateless_normal([1, 2], [0, 2])
    p = tf.sigmoid(layer(*inputs)).numpy()[0]
    expected = (0.3 * np.log(p) + 0.7 * np.log(1 - p)).sum()
    grey = np.full([1, 4], 0.3, np.float32)
    np.testing.assert_allclose(layer.distribution(*inputs).log_prob(grey), [expected], rtol=1e-4)


def test_statistics_of_batch_normalisation():
    rows = np.random.default_rng(0).normal(3, 2, [50, 4]).astype(np.float32)
    layer = BatchNorm(momentum=0.9)
    np.testing.assert_allclose(layer(rows), rows / np.sqrt(1 + layer.epsilon), rtol=1e-5)  # before training
    by_batch = layer(rows, bn_mode="batch")
    np.testing.assert_allclose(by_batch, (rows - rows.mean(0)) / np.sqrt(rows.var(0) + layer.epsilon), atol=1e-4)
    assert (layer.mean.numpy() == 0).all()
    assert (layer.variance.numpy() == 1).all()
    np.testing.assert_array_equal(layer(rows, bn_mode="update"), by_batch)
    np.testing.assert_allclose(layer.mean, 0.1 * rows.mean(0), rtol=1e-4)
    np.testing.assert_allclose(layer.variance, 0.9 + 0.1 * rows.var(0), rtol=1e-4)
