"""p(y) that is not uniform: inside the bounds, in the alignment, from labels, given or estimated."""

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import ALL, CLASSES, make_model, randomise
from tfadgm.config import Config
from tfadgm.data.dataset import Dataset
from tfadgm.errors import InputError
from tfadgm.inference.regularizers import prior_mismatch
from tfadgm.models.classifier import LEAST_SHARE
from tfadgm.resolve import class_shares
from tfadgm.training.build import build_model

PRIOR = (0.7, 0.2, 0.1)


def pair(kind, **options):
    """The same weights with a uniform p(y) and with PRIOR."""
    models = [randomise(make_model(kind, **options)), randomise(make_model(kind, class_prior=PRIOR, **options))]
    for model in models:
        model.class_marginal.assign([1 / 3] * 3)
    return models


@ALL
def test_a_labeled_bound_differs_by_the_prior_alone(kind, x, y):
    uniform, other = pair(kind)
    difference = other.labeled_elbo(x, y) - uniform.labeled_elbo(x, y)
    np.testing.assert_allclose(difference, np.log(np.array(PRIOR)[y] * CLASSES), rtol=1e-4, atol=1e-5)


@ALL
def test_an_unlabeled_bound_differs_by_the_expected_prior(kind, x):
    uniform, other = pair(kind)
    q = tf.reduce_mean(tf.nn.softmax(uniform.class_logits(uniform.scaling(x), uniform.sampler(None, 5))), 0).numpy()
    difference = other.unlabeled_elbo(x) - uniform.unlabeled_elbo(x)
    np.testing.assert_allclose(difference, q @ np.log(np.array(PRIOR) * CLASSES), rtol=1e-4, atol=1e-5)


@ALL
def test_bounds_given_a_class_do_not_depend_on_it(kind, x):
    uniform, other = pair(kind)
    np.testing.assert_allclose(uniform.exact_elbos(x)[1], other.exact_elbos(x)[1], rtol=1e-5, atol=1e-4)


def test_an_estimated_prior_is_the_share_of_what_is_found(x):
    model = make_model("SDGM", class_prior=PRIOR, prior_follows=True)
    np.testing.assert_allclose(model.prior_shares, PRIOR, rtol=1e-6)
    logits = tf.tile(tf.constant([[[9.0, 9.0, -9.0]]]), [1, 5, 1])
    for _ in range(300):
        model.follow_prior(logits)
    low = LEAST_SHARE / CLASSES
    np.testing.assert_allclose(model.prior_shares, np.array([0.5, 0.5, low]) / (1 + low), rtol=1e-4)


def test_the_alignment_is_towards_the_prior():
    logits = tf.random.stateless_normal([1, 20, CLASSES], [0, 1])
    at_prior = prior_mismatch(logits, tf.constant(PRIOR), tolerance=0.01, prior=tf.constant(PRIOR))
    np.testing.assert_allclose(at_prior, 0, atol=1e-6)
    shares = tf.constant([0.2, 0.2, 0.6])
    expected = np.mean(tf.nn.softmax(logits)[0].numpy() @ np.log(np.array([0.2, 0.2, 0.6]) / PRIOR + 1e-3))
    np.testing.assert_allclose(prior_mismatch(logits, shares, prior=tf.constant(PRIOR)), expected, rtol=1e-5)


X = np.random.default_rng(0).normal(size=[20, 2]).astype(np.float32)
DATA = Dataset(X, np.array([0] * 6 + [1] * 2 + [-1] * 12), X[:0], np.zeros(0, int), ("no", "yes"), "gaussian")


@pytest.mark.parametrize(
    ("asked", "shares", "follows"),
    [
        ("uniform", None, False),
        ("labels", (0.7, 0.3), False),  # each label and one more of each class
        ("estimate", (0.7, 0.3), True),
        ("0.9, 0.1", (0.9, 0.1), False),
        ("9,1", (0.9, 0.1), False),
    ],
)
def test_what_a_user_asks_for(asked, shares, follows):
    config = Config.for_dataset("moons", class_prior=asked, alpha=1.0, likelihood="gaussian", hidden_units=(4,))
    model = build_model(config, DATA)
    assert model.prior_follows == follows
    if shares is None:
        assert model.class_prior is None
    else:
        np.testing.assert_allclose(model.class_prior, shares)


@pytest.mark.parametrize("asked", ["", "even", "0.5", "0.5,0.2,0.3", "1,0", "nan,1", "inf,1", "-1,2"])
def test_other_priors_are_refused(asked):
    config = Config.for_dataset("moons", class_prior=asked)
    with pytest.raises(InputError, match="Expected class_prior to be uniform, labels, estimate, or a share above 0"):
        class_shares(config, DATA)


def test_a_prior_of_another_number_of_classes_is_refused():
    with pytest.raises(ValueError, match="Expected a class_prior of 3 shares. Received: 2"):
        make_model("M2", class_prior=(0.5, 0.5))
