"""What a user asks of every model with classes: predictions, generation, analogies, files."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import ALL, CLASSES, SLOW_ALL, make_model, randomise, stream
from tfadgm.inference.regularizers import VAT


@ALL
def test_a_bad_row_does_not_reach_its_neighbours(kind, x):
    model = randomise(make_model(kind))
    broken = x.copy()
    broken[2] = np.nan
    kept = [0, 1, 3, 4]
    np.testing.assert_allclose(model(broken).numpy()[kept], model(x).numpy()[kept], atol=1e-6)
    np.testing.assert_allclose(model.unlabeled_elbo(broken).numpy()[kept], model.unlabeled_elbo(x).numpy()[kept])


@SLOW_ALL
def test_predictions_do_not_depend_on_the_batch(kind, x):
    model = randomise(make_model(kind))
    whole = model.predict(x, verbose=0)
    np.testing.assert_allclose(whole.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.concatenate([model.predict(row[None], verbose=0) for row in x]), whole, atol=1e-6)
    np.testing.assert_allclose(model.log_likelihood_bound(x, batch_size=2), model.log_likelihood_bound(x), rtol=1e-5)


@ALL
def test_generation_is_decided_by_its_seed(kind):
    model = randomise(make_model(kind))
    first, again, other = (model.generate([0, 1, 2, 0], seed).numpy() for seed in ((0, 1), (0, 1), (0, 2)))
    assert first.shape == (4, 2, 3)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@ALL
def test_labels_without_a_class_are_not_generated(kind):
    with pytest.raises(ValueError, match="Expected labels from 0 to 2. Received: .*7"):
        make_model(kind).generate([0, 7], (0, 1))


@ALL
def test_analogies_keep_the_style_and_change_the_class(kind, x, y):
    """Each is decoded from the style of its own row, whatever stands beside it."""
    model = randomise(make_model(kind))
    found = model.analogies(x, y).numpy()
    assert found.shape == (5, CLASSES, 2, 3)
    np.testing.assert_allclose(model.analogies(x[2:3], y[2:3]).numpy()[0], found[2], atol=1e-5)
    z = model.infer_style(model.scaling(x), tf.one_hot(y, CLASSES))
    own = model.decode(z, tf.one_hot(y, CLASSES), tf.zeros([5, model.auxiliary_units]))
    np.testing.assert_allclose(found[np.arange(5), y].reshape(5, 6), own, atol=1e-5)


@SLOW_ALL
def test_evaluate_counts_errors(kind, x, y):
    model = randomise(make_model(kind))
    model.compile(optimizer="adam")
    probabilities = model.predict(x, verbose=0)
    scores = model.evaluate(x, y, batch_size=2, verbose=0, return_dict=True)
    assert scores["error"] == pytest.approx(100 * np.mean(probabilities.argmax(1) != y))
    assert scores["nll"] == pytest.approx(-np.log(probabilities[np.arange(5), y]).mean(), rel=1e-4)


@pytest.mark.slow
@ALL
def test_generation_in_evaluation_mode_gives_the_learned_classes(kind):
    """Three noisy patterns: the mean of generated examples is the pattern, so the averages that they use are real."""
    generator = np.random.default_rng(0)
    patterns = np.array([[[1, 1, 0], [0, 0, 0]], [[0, 0, 1], [1, 0, 0]], [[0, 0, 0], [0, 1, 1]]], np.float32)
    labels = np.repeat(np.arange(3), 40)
    points = np.abs(patterns[labels] - (generator.random([120, 2, 3]) < 0.05)).astype(np.float32)
    model = make_model(kind, alpha=1.0, hidden_units=(32,), samples=1)
    model.compile(optimizer=keras.optimizers.Adam(1e-2))
    model.fit(stream(points[::4], labels[::4], points), steps_per_epoch=300, verbose=0, shuffle=False)
    generated = model.generate(np.repeat(np.arange(3), 200), (0, 1)).numpy().reshape(3, 200, 2, 3)
    np.testing.assert_allclose(generated.mean(1), np.abs(patterns - 0.05), atol=0.2)
    assert model.evaluate(points, labels, verbose=0, return_dict=True)["error"] < 5


@SLOW_ALL
def test_prediction_is_the_same_inside_xla(kind, x):
    """TensorFlow's seeded draws are not: the noise of prediction is constant."""
    model = randomise(make_model(kind))
    np.testing.assert_allclose(tf.function(model, jit_compile=True)(x), model(x), atol=1e-6)


def check_loaded(model, loaded, x) -> None:
    np.testing.assert_allclose(loaded.predict(x, batch_size=2, verbose=0), model.predict(x, verbose=0), atol=1e-6)
    np.testing.assert_allclose(loaded.log_likelihood_bound(x), model.log_likelihood_bound(x), rtol=1e-5)
    np.testing.assert_allclose(loaded.generate([0, 1], (5, 6)), model.generate([0, 1], (5, 6)), rtol=1e-5)


@SLOW_ALL
def test_files_load_with_their_optimizer_and_regularizers(tmp_path, kind, x, y):
    model = randomise(make_model(kind, likelihood="gaussian", regularizers=[VAT(epsilon=0.5)], samples=2))
    model.adapt(x + np.arange(5)[:, None, None])
    model.compile(optimizer="adam", run_eagerly=True)
    model.fit(stream(x, y, x), steps_per_epoch=1, verbose=0, shuffle=False)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    check_loaded(model, loaded, x)
    assert int(loaded.optimizer.iterations) == 1
    assert [part.get_config() for part in loaded.regularizers] == [{"epsilon": 0.5, "weight": 1.0}]
    assert loaded.get_config().keys() == model.get_config().keys()
    assert loaded.samples == 2


LOAD = """
import sys, keras, numpy as np, tfadgm
folder = sys.argv[1]
model = keras.models.load_model(f"{folder}/model.keras")
np.save(f"{folder}/p.npy", model.predict(np.load(f"{folder}/x.npy"), verbose=0))
"""


@pytest.mark.slow
def test_files_load_in_a_new_process(tmp_path, x):
    model = randomise(make_model("SDGM"))
    np.save(tmp_path / "x.npy", x)
    model.save(tmp_path / "model.keras")
    subprocess.run([sys.executable, "-c", LOAD, str(tmp_path)], check=True, capture_output=True)
    np.testing.assert_allclose(np.load(tmp_path / "p.npy"), model.predict(x, verbose=0), atol=1e-6)
