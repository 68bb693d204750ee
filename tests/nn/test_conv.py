import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import ALL, make_model
from tfadgm.nn.conditionals import Bernoulli, Gaussian
from tfadgm.nn.conv import Conv
from tfadgm.nn.mlp import MLP, Example

IMAGE = Example((6, 10, 2))


@pytest.fixture(autouse=True)
def seed():
    keras.utils.set_random_seed(0)


def test_a_number_remembers_its_shape():
    assert IMAGE == 120
    assert IMAGE.shape == (6, 10, 2)


@pytest.mark.parametrize("batch_norm", [True, False])
def test_an_image_among_the_inputs_broadcasts_like_any(batch_norm):
    trunk = Conv(4, input_units=[IMAGE, 3], hidden_units=(8,), batch_norm=batch_norm)
    trunk.build()
    x, y = tf.random.stateless_normal([5, 120], [0, 1]), tf.eye(3)[:, None]
    found = trunk(x, y)
    assert found.shape == (3, 5, 4)
    tiled = trunk(tf.tile(x, [3, 1]), tf.repeat(tf.eye(3), 5, 0))
    np.testing.assert_allclose(tf.reshape(found, [15, 4]), tiled, atol=1e-5)


def test_without_an_image_it_is_an_mlp():
    keras.utils.set_random_seed(1)
    one = Conv(4, input_units=[5, 3], hidden_units=(8,))
    keras.utils.set_random_seed(1)
    other = MLP(4, input_units=[5, 3], hidden_units=(8,))
    one.build()
    other.build()
    inputs = tf.ones([2, 5]), tf.ones([2, 3])
    np.testing.assert_array_equal(one(*inputs), other(*inputs))


def test_a_pattern_is_seen_wherever_it_is():
    """The features of a moved pattern are the moved features, away from the borders."""
    trunk = Conv(4, input_units=[Example((32, 32, 1))], hidden_units=(8,), batch_norm=False)
    trunk.build()
    image = np.zeros([2, 32, 32, 1], np.float32)
    image[0, 8:12, 8:12] = image[1, 16:20, 12:16] = 1
    features = trunk.encoders["0"](image.reshape(2, -1)).numpy().reshape(2, 8, 8, -1)
    np.testing.assert_allclose(np.roll(features[0], (2, 1), (0, 1)), features[1], atol=1e-5)
    assert features.max() > 0


@pytest.mark.parametrize("family", [Bernoulli, Gaussian])
def test_an_image_goes_out_in_its_own_order(family):
    p_x = family(IMAGE, input_units=[3], hidden_units=(8,), trunk="conv")
    p_x.build()
    mean = p_x.distribution(tf.ones([7, 1, 3])).mean()
    assert mean.shape == (7, 1, 120)
    (transposed,) = (layer for layer in p_x.trunk.decoder.convolutions if layer.name == "transposed_1")
    transposed.kernel.assign(tf.zeros_like(transposed.kernel))
    transposed.bias.assign(np.arange(transposed.bias.shape[0]))
    raw = p_x(tf.ones([1, 3])).numpy().reshape(family.parameters, 6, 10, 2)
    for parameter in range(family.parameters):
        for channel in range(2):
            np.testing.assert_array_equal(raw[parameter, ..., channel], channel * family.parameters + parameter)


@pytest.mark.slow
@ALL
def test_every_model_trains_with_it_and_loads(kind, tmp_path):
    model = make_model(kind, feature_shape=(8, 8), trunk="conv", likelihood="bernoulli")
    x = np.random.default_rng(0).random([12, 8, 8]).astype(np.float32)
    model.compile(optimizer=keras.optimizers.Adam(0.01), run_eagerly=True)
    data = tf.data.Dataset.from_tensors({"labeled": (x, np.arange(12) % 3), "unlabeled": x}).repeat()
    losses = model.fit(data, epochs=4, steps_per_epoch=1, shuffle=False, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6)
    assert model.generate([0, 1], (0, 0)).shape == (2, 8, 8)
