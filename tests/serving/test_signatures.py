"""Every signature against the model it offers."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import CLASSES, make_model
from tests.serving.conftest import NAMES, THRESHOLD, make_servable, new_model
from tfadgm.errors import InputError
from tfadgm.serving import signatures
from tfadgm.serving.servable import Servable
from tfadgm.serving.signatures import SIGNATURES, serialized_example, shapes, signatures_of, strings

MODELS = pytest.mark.parametrize("kind", ["ADGM", "SDGM", "M2"])


def ask(servable: Servable, name: str, *arrays) -> dict[str, np.ndarray]:
    return signatures.ask(servable, name, dict(zip(SIGNATURES[name].inputs, arrays, strict=True)))


def png(image: np.ndarray) -> bytes:
    return tf.io.encode_png(image.reshape(*image.shape[:2], -1)).numpy()


@MODELS
def test_predictions_are_those_of_keras_at_the_temperature(kind, x):
    servable = make_servable(kind, temperature=2.0)
    plain = servable.model.predict(x, verbose=0)
    root = np.sqrt(plain)  # p^(1/T) at T = 2
    answer = ask(servable, "serving_default", x)
    np.testing.assert_allclose(answer["probabilities"], root / root.sum(1, keepdims=True), atol=1e-6)
    assert answer["label"].tolist() == plain.argmax(1).tolist()
    assert [name.decode() for name in answer["label_name"]] == [NAMES[label] for label in plain.argmax(1)]
    surest = answer["probabilities"].max(1)
    assert answer["accepted"].tolist() == (surest >= THRESHOLD).tolist()
    assert "accepted" not in ask(dataclasses.replace(servable, threshold=None), "serving_default", x)
    untempered = ask(make_servable(kind, temperature=1.0), "serving_default", x)
    np.testing.assert_allclose(untempered["probabilities"], plain, atol=1e-6)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_says_so_and_its_neighbours_do_not_notice(servable, x, wrong):
    spoiled = x.copy()
    spoiled[2, 0, 1] = wrong
    others = [0, 1, 3, 4]
    for name in ("serving_default", "score", "embed"):
        good, bad = ask(servable, name, x), ask(servable, name, spoiled)
        for alias in good:
            np.testing.assert_array_equal(bad[alias][others], good[alias][others])
            if good[alias].dtype == np.float32:
                assert np.isnan(bad[alias][2]).all()
    bad = ask(servable, "serving_default", spoiled)
    assert (bad["label"][2], bad["label_name"][2], bad["accepted"][2]) == (-1, b"", False)


@pytest.mark.parametrize("largest", [1.0, 16.0, 255.0])
def test_a_full_byte_is_the_largest_intensity(images, largest):
    servable = Servable(new_model(), NAMES)
    servable.model.adapt(np.full([2, 2, 3], largest, np.float32))
    expected = ask(servable, "serving_default", images * (largest / 255))
    for name, array in [
        ("predict_images", images),
        ("predict_bytes", strings(map(np.ndarray.tobytes, images))),
        ("predict_bytes", strings(map(png, images))),
    ]:
        answer = ask(servable, name, array)
        np.testing.assert_allclose(answer["probabilities"], expected["probabilities"], atol=1e-6)


def test_bytes_stand_for_what_they_did_in_training(images):
    """A model of images in [-1, 1] answers a PNG as it does its features; of any other range it takes no bytes."""
    servable = Servable(new_model(likelihood="gaussian"), NAMES)
    signed = images / np.float32(127.5) - 1
    servable.model.adapt(
        np.concatenate([signed, np.full([1, 2, 3], -1, np.float32), np.full([1, 2, 3], 1, np.float32)])
    )
    expected = ask(servable, "serving_default", signed)["probabilities"]
    for name, array in [("predict_images", images), ("predict_bytes", strings(map(png, images)))]:
        np.testing.assert_allclose(ask(servable, name, array)["probabilities"], expected, atol=1e-6)
    servable.model.adapt(3 * signed)
    assert not {"predict_images", "predict_bytes"} & signatures_of(servable.info).keys()


def test_three_channels_are_read_from_png():
    model = make_servable(feature_shape=(4, 5, 3))
    images = np.random.default_rng(0).integers(0, 256, [3, 4, 5, 3]).astype(np.uint8)
    answer = ask(model, "predict_bytes", strings([png(images[0]), images[1].tobytes(), png(images[2])]))
    expected = ask(model, "predict_images", images)
    np.testing.assert_array_equal(answer["probabilities"], expected["probabilities"])


def test_strings_that_are_no_image_of_this_size(servable, images):
    turned = png(np.swapaxes(images[0], 0, 1))
    bad = [b"", b"x", b"\x89PNG\r\n\x1a\n", turned, images[0].tobytes() + b"\0"]
    answer = ask(servable, "predict_bytes", strings([*bad, images[1].tobytes()]))
    assert answer["label"].tolist()[:-1] == [-1] * len(bad)
    assert np.isnan(answer["probabilities"][:-1]).all()
    expected = ask(servable, "predict_images", images[1:2])["probabilities"][0]
    np.testing.assert_allclose(answer["probabilities"][-1], expected, atol=1e-6)


@MODELS
def test_scores_are_the_bounds(kind, x):
    servable = make_servable(kind, samples=16)
    answer = ask(servable, "score", x)
    np.testing.assert_allclose(answer["log_likelihood_bound"], servable.model.log_likelihood_bound(x), rtol=1e-5)
    for c in range(CLASSES):  # -L(x,y) - log p(y), over the same 16 samples
        expected = servable.model.labeled_elbo(x, np.full(len(x), c)) + np.log(CLASSES)
        np.testing.assert_allclose(answer["class_log_likelihood_bound"][:, c], expected, rtol=1e-5)


@pytest.mark.parametrize("kind", ["ADGM", "SDGM"])
def test_the_embedding_is_the_mean_of_a(kind, x):
    servable = make_servable(kind)
    samples = servable.model.q_a_x.distribution(servable.model.scaling(x)).sample(40_000, seed=[0, 1]).numpy()
    error = samples.std(0) / 200
    np.testing.assert_array_less(np.abs(ask(servable, "embed", x)["a"] - samples.mean(0)), 5 * error)


def test_classify_takes_examples_and_names_every_class(servable, x):
    examples = [serialized_example(row) for row in x]
    wrong = [tf.train.Example().SerializeToString(), *map(serialized_example, (x[0, :1], x[:2]))]
    answer = ask(servable, "classify", strings([*examples, *wrong]))
    expected = ask(servable, "serving_default", x)["probabilities"]
    np.testing.assert_allclose(answer["scores"][: len(x)], expected, atol=1e-6)
    assert np.isnan(answer["scores"][len(x) :]).all()
    assert answer["classes"].tolist() == [[name.encode() for name in NAMES]] * 8


def test_gaussian_features_are_bytes_as_they_are(images):
    servable = make_servable(likelihood="gaussian")
    expected = ask(servable, "serving_default", images.astype(np.float32))
    np.testing.assert_array_equal(ask(servable, "predict_images", images)["label"], expected["label"])


@pytest.mark.parametrize("shape", [(1, 2, 6), (4, 3), (2, 3, 2), (6,)])
def test_another_shape_is_refused(servable, shape):
    wrong = np.zeros(shape, np.float32)
    for method in (servable.predict, servable.score, servable.embed, servable.predict_images):
        with pytest.raises((tf.errors.InvalidArgumentError, ValueError), match="not compatible"):
            method(tf.constant(wrong))


def test_generated_examples_are_the_models_and_do_not_depend_on_how_many_follow(servable):
    labels = np.array([0, 1, 2, 2, 1])
    answer = ask(servable, "generate", labels, [3, 4])["x"]
    np.testing.assert_allclose(answer, servable.model.generate(labels, (3, 4)), rtol=1e-6)
    np.testing.assert_allclose(ask(servable, "generate", labels[:2], [3, 4])["x"], answer[:2], rtol=1e-6)


@pytest.mark.parametrize("label", [-1, CLASSES, 2**40])
def test_a_label_of_no_class_generates_nothing(servable, label):
    answer = ask(servable, "generate", [1, label], [0, 0])["x"]
    assert np.isnan(answer[1]).all()
    assert np.isfinite(answer[0]).all()


def test_signatures_are_those_that_make_sense():
    always = {"serving_default", "score", "generate", "classify"}
    assert set(signatures_of(make_servable("M2").info)) == always | {"predict_images", "predict_bytes"}
    assert set(signatures_of(make_servable(feature_shape=(6,)).info)) == always | {"embed"}


def test_shapes_are_those_of_the_model():
    info = {"classes": list(NAMES), "feature_shape": [2, 3], "auxiliary_units": 4}
    found = shapes({"x": "float32 B features", "y": "uint8 C A", "seed": "int32 2"}, info)
    assert found == {"x": ("float32", [-1, 2, 3]), "y": ("uint8", [3, 4]), "seed": ("int32", [2])}


def test_empty_batches_are_answered(servable):
    answer = ask(servable, "serving_default", np.zeros([0, 2, 3]))
    assert answer["probabilities"].shape == (0, CLASSES)


def test_what_a_servable_expects():
    with pytest.raises(InputError, match="Expected 3 class names. Received: 2"):
        Servable(make_model("SDGM"), ("a", "b"))
    with pytest.raises(InputError, match="Expected a temperature above 0. Received: 0"):
        Servable(make_model("SDGM"), NAMES, 0)
