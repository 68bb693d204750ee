"""Images as levels, SVHN and NORB: loaders on TFDS's mock data, dequantisation, and densities that stay finite."""

import json
import math
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tfadgm import cli, models
from tfadgm.config import Config
from tfadgm.data import sources
from tfadgm.data.dataset import Dataset
from tfadgm.data.tfds import smallnorb
from tfadgm.errors import InputError
from tfadgm.evaluation.likelihood import log_likelihood, prepare_inputs
from tfadgm.nn.conditionals import LOG_VARIANCE_BOUND
from tfadgm.resolve import resolve

TINY = ["--epochs", 1, "--hidden-units", 8, "--latent-units", 2, "--auxiliary-units", 2, "--no-xla"]
IMAGES = {"svhn_cropped": (10, 3), "smallnorb": (5, 2)}  # classes, channels


@pytest.fixture(scope="module", autouse=True)
def mock():
    """60 random images of every part of every data set of TFDS, by its own shapes and features."""
    with tfds.testing.mock_data(num_examples=60, policy=tfds.testing.MockPolicy.USE_CODE):
        yield


@pytest.mark.parametrize("name", IMAGES)
def test_the_loaders_read_what_tfds_gives(name):
    classes, channels = IMAGES[name]
    data = sources.load_dataset(name)
    assert (data.x.shape, data.x_test.shape) == ((60, 32, 32, channels),) * 2
    assert (data.x.dtype, data.likelihood, data.classes) == (np.uint8, "gaussian", classes)
    assert set(np.unique(data.y)) <= set(range(classes))


def test_both_cameras_at_a_third_of_the_size():
    (raw,) = tfds.as_numpy(tfds.load("smallnorb", split="train", batch_size=60))
    data = smallnorb()
    for channel, camera in enumerate(("image", "image2")):
        for row, column in ((0, 0), (31, 7)):
            block = raw[camera][:, 3 * row : 3 * row + 3, 3 * column : 3 * column + 3, 0].reshape(60, 9)
            assert np.abs(data.x[:, row, column, channel] - block.mean(1)).max() <= 0.5
    np.testing.assert_array_equal(data.y, raw["label_category"])


@pytest.mark.slow
@pytest.mark.parametrize("name", IMAGES)
def test_training_report_and_export(name, tmp_path, monkeypatch, capsys):
    """The named configuration of the data set, with smaller networks, to an export that was verified."""
    classes, channels = IMAGES[name]
    monkeypatch.setattr(sys, "argv", ["train.py", *map(str, ["--dataset", name, "--labels", 5 * classes, *TINY])])
    sys.argv += ["--run-dir", str(tmp_path / "run")]
    assert cli.exit_status("train.py", cli.train) == 0, capsys.readouterr().err
    config = Config.from_json((tmp_path / "run" / "config.json").read_text(), "")
    assert (config.dequantize, config.likelihood) == (True, "gaussian")
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert (report["labels"], report["likelihood"]) == (5 * classes, "gaussian")
    assert 0 <= report["test_error"] <= 100
    assert (tmp_path / "run" / "figures" / "samples.png").exists()
    monkeypatch.setattr(sys, "argv", ["export.py", str(tmp_path / "run"), "--output", str(tmp_path / "models")])
    assert cli.exit_status("export.py", cli.export) == 0, capsys.readouterr().err
    info = json.loads((tmp_path / "models" / "run" / "1" / "assets.extra" / "model_info.json").read_text())
    assert info["feature_shape"] == [32, 32, channels]
    assert info["verified"]["requests"] > 0


@pytest.mark.slow
def test_density_models_tell_of_dequantisation(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(models.BaseModel, "traced", lambda self, function, **_: function)
    flags = ["--model", "vae", "--dataset", "smallnorb", *TINY[:-3], "--no-xla", "--run-dir", tmp_path / "run"]
    monkeypatch.setattr(sys, "argv", ["train.py", *map(str, flags)])
    assert cli.exit_status("train.py", cli.train) == 0, capsys.readouterr().err
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["dequantization"] == "training: drawn afresh every step; test: one seeded draw"
    assert report["binarization"] is None
    assert math.isfinite(report["test_log_likelihood"])
    assert (tmp_path / "run" / "figures" / "reconstructions.png").exists()


def test_levels_are_spread_over_their_unit():
    levels = np.random.default_rng(0).integers(0, 256, [2000, 2, 2, 3]).astype(np.uint8)
    model = models.VAE((2, 2, 3), hidden_units=(8,), latent_units=2, likelihood="gaussian", dequantize=True)
    model.adapt(levels)
    for x in (model.scaling.invert(model.prepare_inputs(tf.constant(levels), [0, 1])), prepare_inputs(model, levels)):
        noise = x - levels
        assert -0.5 - 1e-3 <= np.min(noise) < -0.49
        assert 0.49 < np.max(noise) <= 0.5 + 1e-3
        assert np.std(noise) == pytest.approx(1 / 12**0.5, rel=0.02)
    np.testing.assert_array_equal(prepare_inputs(model, levels), prepare_inputs(model, levels))
    assert keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model)).dequantize


def test_images_are_scaled_by_channel():
    x = np.random.default_rng(1).normal([10.0, 20.0, 30.0], [1.0, 2.0, 3.0], [500, 2, 2, 3])
    x[:, 0] += 5
    model = models.VAE((2, 2, 3), hidden_units=(8,), latent_units=2, likelihood="gaussian")
    model.adapt(x)
    channels = x.reshape(-1, 3)
    np.testing.assert_allclose(model.scaling.shift, np.tile(channels.mean(0), 4), rtol=1e-5)
    np.testing.assert_allclose(model.scaling.scale, np.tile(channels.std(0), 4), rtol=1e-5)


def test_levels_are_scaled_with_their_noise():
    """A feature that is nearly constant too, whose noise would otherwise be many deviations."""
    levels = np.stack([np.arange(3000) % 1000 == 0, np.arange(3000) % 4], 1).astype(np.uint8)
    model = models.VAE((2,), hidden_units=(8,), latent_units=2, likelihood="gaussian", dequantize=True)
    model.adapt(levels)
    rows = model.prepare_inputs(tf.constant(levels), [0, 1]).numpy()
    np.testing.assert_allclose(rows.mean(0), 0, atol=0.1)
    np.testing.assert_allclose(rows.std(0), 1, rtol=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["VAE", "M2", "SDGM"])
def test_a_gaussian_cannot_run_to_infinity(kind):
    """Points that are all one, and a constant feature: the density stays under what its bounded variance allows."""
    x = np.repeat(np.array([[1.0, -2.0, 7.0]], np.float32), 64, 0)
    x[:32, 0] = 3.0
    keras.utils.set_random_seed(0)
    options = {"batch_norm": False, "hidden_units": (16,), "latent_units": 2, "likelihood": "gaussian", "xla": False}
    model = getattr(models, kind)((3,), **({"classes": 2} if kind != "VAE" else {}), **options)
    model.adapt(x)
    model.compile(optimizer=keras.optimizers.Adam(1e-2))
    y = (x[:, 0] == 3).astype(np.int64)
    batch = {"unlabeled": x} | ({"labeled": (x, y)} if kind != "VAE" else {})
    data = tf.data.Dataset.from_tensors(batch).repeat()
    history = model.fit(data, epochs=1, steps_per_epoch=300, shuffle=False, verbose=0).history
    assert math.isfinite(history["loss"][-1])
    most = 3 * (LOG_VARIANCE_BOUND / 2 - 0.5 * math.log(2 * math.pi))  # nats
    bound, log_p = model.log_likelihood_bound(x), log_likelihood(model, x, 100)["log_p"]
    assert bound.mean() <= log_p.mean() + 0.2
    assert (log_p <= most).all()
    assert bound.mean() > -2  # it does go up: with unit variance it would stay below -2.7


@pytest.mark.parametrize(
    ("x", "choices", "message"),
    [
        (np.zeros([4, 2], np.uint8), {}, "Expected the gaussian likelihood with --dequantize"),
        (np.full([4, 2], 1.5), {"likelihood": "gaussian"}, "Expected integers with --dequantize"),
    ],
)
def test_data_that_cannot_be_dequantised_are_refused(x, choices, message):
    y = np.array([0, 0, 1, 1])
    data = Dataset(x, y, x, y, ("a", "b"), "bernoulli")
    with pytest.raises(InputError, match=message):
        resolve(Config.of(dequantize=True, **choices), data)


@pytest.mark.parametrize(
    ("name", "shape", "likelihood"),
    [("fashion_mnist", (28, 28, 1), "bernoulli"), ("cifar10", (32, 32, 3), "bernoulli"), ("iris", (4,), "gaussian")],
)
def test_other_sets_by_their_name(name, shape, likelihood):
    """Images and features of TFDS's mock data."""
    data = sources.load_dataset(f"tfds:{name}")
    assert (data.x.shape, data.likelihood) == ((60, *shape), likelihood)
    assert data.x.dtype == (np.uint8 if len(shape) == 3 else np.float32)
    assert data.x_test.shape == data.x.shape
    assert set(np.unique(data.y)) <= set(range(data.classes))
    assert Config.for_dataset(f"tfds:{name}", labels=20).name == f"tfds-{name}-sdgm-20-0"


def test_single_features_become_a_table():
    data = sources.load_dataset("tfds:titanic")
    assert data.likelihood == "mixed"
    assert {"age", "fare", "sex"} & {column.name for column in data.schema.columns}
    assert data.class_names == ("died", "survived")


@pytest.mark.parametrize("name", ["no_such_set", "voc", "ted_hrlr_translate"])
def test_sets_of_another_kind_are_one_line(name):
    with pytest.raises(InputError, match="Expected .* Received") as error:
        sources.load_dataset(f"tfds:{name}")
    assert "\n" not in str(error.value)
