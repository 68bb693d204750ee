"""A classifier without a model of x."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import CLASSES, make_model, randomise, stream
from tfadgm.inference.regularizers import VAT
from tfadgm.models import Discriminative


def discriminative(**options) -> Discriminative:
    keras.utils.set_random_seed(0)
    defaults = {"hidden_units": (8,), "likelihood": "bernoulli", "xla": False, "binarize": False}
    return Discriminative((2, 3), CLASSES, **defaults | options)


def test_its_objective_is_the_cross_entropy_of_the_labels(x, y):
    """By hand, with the statistics of the batch; the weight of the labels multiplies it."""
    model = randomise(discriminative(alpha=7.0, hidden_units=()))
    seeds = tf.zeros([5, 2], tf.int32)
    loss, values = model.training_terms({"labeled": (x, y), "unlabeled": x}, seeds)
    (kernel,) = (w.numpy() for w in model.q_y_x.weights if w.shape == (6, CLASSES))
    (bias,) = (w.numpy() for w in model.q_y_x.weights if w.shape == (CLASSES,))
    logits = x.reshape(5, 6) @ kernel + bias
    log_q = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    expected = -log_q[np.arange(5), y].mean()
    assert float(values["label_nll"]) == pytest.approx(expected, rel=1e-4)
    assert float(loss) == pytest.approx(7 * expected, rel=1e-4)


def test_points_without_a_label_count_by_regularizers_alone(x, y):
    seeds, other = tf.zeros([5, 2], tf.int32), 1 - x
    for regularizers, alike in (((), True), ((VAT(epsilon=1.0, weight=1.0),), False)):
        model = randomise(discriminative(regularizers=regularizers))
        first, second = (float(model.training_terms({"labeled": (x, y), "unlabeled": u}, seeds)[0]) for u in (x, other))
        assert (first == second) == alike


def test_it_learns_and_loads(x, y, tmp_path):
    model = discriminative(regularizers=[VAT(epsilon=0.5)])
    model.compile(optimizer=keras.optimizers.Adam(0.05))
    model.fit(stream(x, y, x), epochs=1, steps_per_epoch=60, shuffle=False, verbose=0)
    assert (model.predict(x, verbose=0).argmax(1) == y).all()
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6)
    assert [part.get_config() for part in again.regularizers] == [{"epsilon": 0.5, "weight": 1.0}]


def test_it_has_no_part_that_explains_x():
    assert not {"marginalization", "latent_units", "labeled_weight"} & set(discriminative().get_config())
    assert set(make_model("M2").get_config()) > {"latent_units"}
