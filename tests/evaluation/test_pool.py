"""A pool of what several methods say."""

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import make_model
from tfadgm.evaluation.metrics import class_probabilities
from tfadgm.evaluation.pool import OURS, PRECISION, PRIOR, cross_fitted, pool_weights, pooled
from tfadgm.training import supervised
from tfadgm.training.supervised import teach


def methods(labels: int, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The model knows half of the labels, one method all, and one is sure of what is false."""
    generator = np.random.default_rng(seed)
    y = generator.integers(3, size=labels)
    right, wrong = 0.7 * np.eye(3)[y] + 0.1, 0.9 * np.eye(3)[(y + 1) % 3] + 0.1 / 3
    knows = generator.random(labels) < 0.5
    return {
        OURS: np.where(knows[:, None], right, 1 / 3),
        "random forest": right,
        "support vectors": wrong,
        "boosting": right,
    }, y


def test_the_weights_are_where_labels_are_most_likely():
    """No other weights have a smaller loss, which is written here as the formula has it."""
    found, y = methods(30)
    pool = pool_weights(found, y)

    def loss(weights):
        p = np.prod([found[name] ** weight for name, weight in zip(pool, weights, strict=True)], axis=0)
        p /= p.sum(1, keepdims=True)
        away = weights - [PRIOR[name] for name in pool]
        return PRECISION / 2 * np.square(away).sum() - np.log(p[np.arange(30), y]).sum()

    best = np.array(list(pool.values()))
    for change in np.random.default_rng(1).normal(size=[200, 3]) * 0.03:
        assert loss(np.maximum(best + change, 0)) >= loss(best) - 1e-6


def test_few_labels_change_little_and_many_tell_which_method_is_right():
    none, few, many = (pool_weights(*methods(labels)) for labels in (0, 4, 400))
    assert none == {name: PRIOR[name] for name in none}
    assert "boosting" not in none  # which is no part of a pool
    assert many["random forest"] > 1 > few["random forest"] > none["random forest"]
    assert many["support vectors"] == 0


def test_the_pool_is_judged_by_weights_that_did_not_see_the_label():
    """A label that is turned changes nothing of what the pool says of its own fold."""
    found, y = methods(20)
    fold = np.arange(20) % 4
    turned = y.copy()
    turned[0] = (y[0] + 1) % 3
    before, after = cross_fitted(found, y, fold), cross_fitted(found, turned, fold)
    np.testing.assert_array_equal(before[fold == 0], after[fold == 0])
    assert abs(before[fold == 1] - after[fold == 1]).max() > 1e-4
    all_but_first = {name: each[fold != 0] for name, each in found.items()}
    weights = pool_weights(all_but_first, y[fold != 0])
    np.testing.assert_allclose(before[fold == 0], pooled(found, weights)[fold == 0])


@pytest.mark.parametrize("kind", [pytest.param("SDGM", marks=pytest.mark.slow), "M2"])
def test_a_model_that_is_taught_says_what_its_teacher_says_and_explains_x_as_before(kind, monkeypatch):
    monkeypatch.setattr(supervised, "STEPS", 600)
    model = make_model(kind, likelihood="gaussian")
    x = np.random.default_rng(0).random([60, 2, 3]).astype(np.float32)
    model.adapt(x)
    shares = np.array([[0.8, 0.1, 0.1], [0.1, 0.2, 0.7]])[(x[:, 0, 0] > 0.5).astype(int)]
    drawn = model.generate([0, 1], (0, 1)).numpy()
    teach(model, x, shares)
    found = class_probabilities(model, x)
    assert np.mean(found.argmax(1) == shares.argmax(1)) > 0.95
    assert abs(found - shares).mean() < 0.1
    np.testing.assert_array_equal(model.generate([0, 1], (0, 1)).numpy(), drawn)
    assert tf.reduce_all(tf.math.is_finite(model.labeled_elbo(x, np.zeros(60, int))))
