"""Every model: bounds by brute force and Monte Carlo, limits, prediction, generation, files."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tests.conftest import CLASSES, make_model, randomise
from tfadgm import models
from tfadgm.models.semi_supervised import SemiSupervisedModel
from tfadgm.networks import BatchNorm

PRIOR = tfd.MultivariateNormalDiag(tf.zeros(2), tf.ones(2))
SAMPLES = 20_000


def adgm_log_weight(model, x, y, samples):
    """log p(x,y,a,z) - log q(a,z|x,y) at samples of q, [samples, B], by the factorisation of the ADGM."""
    q_a = model.q_a_x.distribution(x)
    a = q_a.sample(samples, seed=[0, 1])
    q_z = model.q_z_axy.distribution(a, x, y)
    z = q_z.sample(seed=[0, 2])
    log_p = model.p_x_zy.distribution(z, y).log_prob(x) + model.p_a_xzy.distribution(x, z, y).log_prob(a)
    return log_p + PRIOR.log_prob(z) - np.log(CLASSES) - q_a.log_prob(a) - q_z.log_prob(z)


def sdgm_log_weight(model, x, y, samples):
    q_a = model.q_a_x.distribution(x)
    a = q_a.sample(samples, seed=[0, 1])
    q_z = model.q_z_axy.distribution(a, x, y)
    z = q_z.sample(seed=[0, 2])
    log_p = model.p_x_azy.distribution(a, z, y).log_prob(x) + model.p_a_zy.distribution(z, y).log_prob(a)
    return log_p + PRIOR.log_prob(z) - np.log(CLASSES) - q_a.log_prob(a) - q_z.log_prob(z)


def m2_log_weight(model, x, y, samples):
    q_z = model.q_z_xy.distribution(x, y)
    z = q_z.sample(samples, seed=[0, 2])
    log_p = model.p_x_zy.distribution(z, y).log_prob(x)
    return log_p + PRIOR.log_prob(z) - np.log(CLASSES) - q_z.log_prob(z)


LOG_WEIGHTS = {"ADGM": adgm_log_weight, "SDGM": sdgm_log_weight, "M2": m2_log_weight}
ALL = pytest.mark.parametrize("kind", LOG_WEIGHTS)
LIKELIHOODS = pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])


def test_no_model_is_missing_here():
    exported = {name for name in models.__all__ if issubclass(getattr(models, name), SemiSupervisedModel)}
    assert exported - {"SemiSupervisedModel"} == set(LOG_WEIGHTS)


@ALL
@LIKELIHOODS
def test_labeled_bound_by_monte_carlo(kind, likelihood, x, y):
    """The bound equals the mean of sampled log-densities of the factorisation written out above (5 s.e.)."""
    model = randomise(make_model(kind, likelihood=likelihood, samples=SAMPLES))
    rows, one_hot = model.scaling(x), tf.one_hot(y, CLASSES)
    sampled = LOG_WEIGHTS[kind](model, rows, one_hot, SAMPLES).numpy()
    bound = model.labeled_bound(x, y, seed=[3, 4]).numpy()
    error = sampled.std(0) / np.sqrt(SAMPLES)
    assert bound.shape == (5,)
    assert (np.abs(bound - sampled.mean(0)) < 5 * np.sqrt(2) * error).all()


@ALL
@pytest.mark.parametrize("statistics", ["average", "batch"])
def test_unlabeled_bound_is_the_loop_over_classes(kind, statistics, x):
    """sum_y q(y|a,x) (-L(x,y,a) - log q(y|a,x)) - log q(a|x), one class at a time."""
    model = randomise(make_model(kind, batch_norm=statistics == "average"))
    sweep, rows = model.sweep([1, 2], 5, statistics), model.scaling(x)
    a, log_q_a = model.infer_auxiliary(rows, sweep)
    q = tf.nn.softmax(model.class_logits(rows, a, sweep)).numpy()[0]
    expected = -log_q_a.numpy()[0]
    for label in range(CLASSES):
        one_hot = tf.one_hot(np.full([1, 1, 5], label), CLASSES)
        bound = model.class_bound(rows, a, one_hot, sweep).numpy()[0, 0]
        expected += q[:, label] * (bound - np.log(q[:, label]))
    np.testing.assert_allclose(model.unlabeled_bound(x, seed=[1, 2], statistics=statistics), expected, rtol=1e-4)


@ALL
def test_rao_blackwellised_bound_has_the_mean_of_the_exact_one(kind, x):
    exact = randomise(make_model(kind))
    sampled = randomise(make_model(kind, marginalization="rao_blackwellised"))
    values = np.stack([sampled.unlabeled_bound(np.tile(x, [400, 1, 1]), seed=[1, i]) for i in range(5)])
    expected = np.stack([exact.unlabeled_bound(np.tile(x, [400, 1, 1]), seed=[2, i]) for i in range(5)])
    gap, error = values.reshape(-1, 5) - expected.reshape(-1, 5), np.sqrt(2000)
    assert (np.abs(gap.mean(0)) < 5 * gap.std(0) / error).all()


@ALL
def test_a_certain_classifier_turns_the_unlabeled_into_the_labeled_bound(kind, x):
    model = randomise(make_model(kind))
    network = model.q_y_x if kind == "M2" else model.q_y_ax
    network.layers[-1].kernel.assign(tf.zeros_like(network.layers[-1].kernel))
    network.layers[-1].bias.assign([0.0, 300.0, 0.0])
    unlabeled = model.unlabeled_bound(x, seed=[1, 2])
    np.testing.assert_allclose(unlabeled, model.labeled_bound(x, np.full(5, 1), seed=[1, 2]), rtol=1e-5)


@ALL
@LIKELIHOODS
def test_linear_gaussian_bounds_equal_the_evidence(kind, likelihood, x, y):
    """With q(z|.) = p(z), q(a|x) = p(a|.) and p(x|.) blind to a and z, the bound is log p(x|y) p(y) exactly."""
    model = make_model(kind, hidden_units=(), batch_norm=False, likelihood=likelihood)
    for weight in model.trainable_variables:
        weight.assign(tf.zeros_like(weight))
    decoder = model.p_x_azy if kind == "SDGM" else model.p_x_zy
    by_class = np.random.default_rng(0).normal(size=decoder.projections[-1].kernel.shape).astype(np.float32)
    decoder.projections[-1].kernel.assign(by_class)
    rows, parameters = x.reshape(5, 6), by_class[y]
    if likelihood == "bernoulli":
        log_p_x = tfd.Bernoulli(logits=parameters).log_prob(rows)
    else:
        mean, raw = np.split(parameters, 2, 1)
        log_p_x = tfd.Normal(mean, np.exp(4 * np.tanh(raw / 8))).log_prob(rows)
    expected = tf.reduce_sum(log_p_x, 1) - np.log(CLASSES)
    np.testing.assert_allclose(model.labeled_bound(x, y, seed=[0, 1]), expected, rtol=1e-4)


@ALL
def test_a_bad_row_does_not_reach_its_neighbours(kind, x):
    model = randomise(make_model(kind))
    broken = x.copy()
    broken[2] = np.nan
    kept = [0, 1, 3, 4]
    np.testing.assert_allclose(model(broken).numpy()[kept], model(x).numpy()[kept], atol=1e-6)
    np.testing.assert_allclose(model.unlabeled_bound(broken).numpy()[kept], model.unlabeled_bound(x).numpy()[kept])


@ALL
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


@ALL
def test_evaluate_counts_errors(kind, x, y):
    model = randomise(make_model(kind))
    model.compile(optimizer="adam")
    probabilities = model.predict(x, verbose=0)
    scores = model.evaluate(x, y, batch_size=2, verbose=0, return_dict=True)
    assert scores["error"] == pytest.approx(100 * np.mean(probabilities.argmax(1) != y))
    assert scores["nll"] == pytest.approx(-np.log(probabilities[np.arange(5), y]).mean(), rel=1e-4)


@LIKELIHOODS
def test_draws_multiply_the_bernoulli_likelihood(likelihood, x, y):
    """Four draws score four times log p(x|.); a Gaussian feature stands for itself."""
    one, four = (randomise(make_model("M2", likelihood=likelihood, draws=draws)) for draws in (1, 4))
    rows, sweep = one.scaling(x), one.sweep([1, 2], 5)
    one_hot = tf.one_hot(y, CLASSES)[None, None]
    q_z = one.q_z_xy.distribution(rows, one_hot)
    log_p_x = one.p_x_zy.distribution(q_z.mean() + q_z.stddev() * sweep.noise_z, one_hot).log_prob(rows)
    gap = four.class_bound(rows, None, one_hot, sweep) - one.class_bound(rows, None, one_hot, sweep)
    np.testing.assert_allclose(gap, 3 * log_p_x if likelihood == "bernoulli" else 0 * log_p_x, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("draws", [1, 4])
def test_training_input_is_the_mean_of_draws(draws):
    model = make_model("M2", draws=draws)
    grey = np.full([5000, 2, 3], 0.3, np.float32)
    rows = model.training_input(grey, tf.constant([0, 1])).numpy()
    assert set(np.unique(rows)) == set(np.float32(np.arange(draws + 1) / draws))
    assert rows.mean() == pytest.approx(0.3, abs=0.01)
    assert rows.var() == pytest.approx(0.3 * 0.7 / draws, rel=0.05)
    assert (rows != model.training_input(grey, tf.constant([0, 2])).numpy()).any()
    mean = make_model("M2", draws=draws, binarize=False).training_input(grey, tf.constant([0, 1]))
    np.testing.assert_array_equal(mean, grey.reshape(-1, 6))


def stream(x: np.ndarray, y: np.ndarray, unlabeled: np.ndarray) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensors({"labeled": (x, y), "unlabeled": unlabeled}).repeat()


@ALL
@pytest.mark.parametrize(("marginalization", "samples"), [("exact", 3), ("rao_blackwellised", 1)])
def test_fit_learns(kind, marginalization, samples, x, y):
    xla = marginalization == "rao_blackwellised" and kind == "SDGM"
    model = make_model(kind, marginalization=marginalization, samples=samples, alpha=2.0, weight_prior=1e-3, xla=xla)
    model.compile(optimizer=keras.optimizers.Adam(1e-2))
    history = model.fit(stream(x, y, x), epochs=3, steps_per_epoch=20, verbose=0, shuffle=False).history
    assert set(history) == {"loss", "labeled_bound", "unlabeled_bound", "label_nll"}
    assert history["loss"][-1] < history["loss"][0]
    assert history["label_nll"][-1] < history["label_nll"][0]


@ALL
def test_warm_up_raises_the_weight_of_the_divergences(kind, x, y):
    """A bound in training lies between the one without divergences, at the first step, and the whole one at last."""
    model = randomise(make_model(kind, warm_up=4, batch_norm=False))
    model.compile(optimizer=keras.optimizers.SGD(0.0))
    model.optimizer.build(model.trainable_variables)
    rows, seeds = model.scaling(x), tf.random.split(tf.constant([0, 1]), 5)
    sweep = model.sweep(seeds[2], 5, "batch")
    none, full = (model._labeled_terms(rows, y, sweep._replace(kl_weight=weight))[0] for weight in (0.0, 1.0))
    for step, weight in enumerate([0.0, 0.25, 0.5, 0.75, 1.0, 1.0]):
        model.optimizer.iterations.assign(step)
        labeled = model.training_terms({"labeled": (x, y), "unlabeled": x}, seeds)[1][0]
        np.testing.assert_allclose(labeled, weight * full + (1 - weight) * none, rtol=1e-5)


@ALL
def test_averages_of_batch_normalisation_belong_to_the_unlabeled_stream(kind, x, y):
    """Every network has averages of its own, and other labeled points leave them as they are."""
    averages = []
    for labeled in (x, 1 - x):
        model = make_model(kind)
        before = [weight.numpy() for layer in model._flatten_layers() if isinstance(layer, BatchNorm)
                  for weight in (layer.mean, layer.variance)]  # fmt: skip
        model.compile(optimizer=keras.optimizers.SGD(0.0))
        model.fit(stream(labeled, y, x), steps_per_epoch=1, verbose=0, shuffle=False)
        after = [weight.numpy() for layer in model._flatten_layers() if isinstance(layer, BatchNorm)
                 for weight in (layer.mean, layer.variance)]  # fmt: skip
        assert len(after) == 4 * len(model.layers[1:])
        assert all((old != new).any() for old, new in zip(before, after, strict=True))
        averages.append(after)
    for left, right in zip(*averages, strict=True):
        np.testing.assert_array_equal(left, right)


@ALL
def test_generation_in_evaluation_mode_gives_the_learned_classes(kind):
    """Three noisy patterns: the mean of generated examples is the pattern, so the averages that they use are real."""
    generator = np.random.default_rng(0)
    patterns = np.array([[[1, 1, 0], [0, 0, 0]], [[0, 0, 1], [1, 0, 0]], [[0, 0, 0], [0, 1, 1]]], np.float32)
    labels = np.repeat(np.arange(3), 40)
    points = np.abs(patterns[labels] - (generator.random([120, 2, 3]) < 0.05)).astype(np.float32)
    model = make_model(kind, alpha=1.0, hidden_units=(32, 32))
    model.compile(optimizer=keras.optimizers.Adam(1e-2))
    model.fit(stream(points[::4], labels[::4], points), steps_per_epoch=400, verbose=0, shuffle=False)
    generated = model.generate(np.repeat(np.arange(3), 200), (0, 1)).numpy().reshape(3, 200, 2, 3)
    np.testing.assert_allclose(generated.mean(1), np.abs(patterns - 0.05), atol=0.15)
    assert model.evaluate(points, labels, verbose=0, return_dict=True)["error"] < 5


@ALL
def test_prediction_is_the_same_inside_xla(kind, x):
    """TensorFlow's seeded draws are not: the noise of prediction is constant."""
    model = randomise(make_model(kind))
    np.testing.assert_allclose(tf.function(model, jit_compile=True)(x), model(x), atol=1e-6)


LOAD = """
import sys, keras, numpy as np, tfadgm
folder, *kinds = sys.argv[1:]
x = np.load(f"{folder}/x.npy")
for kind in kinds:
    model = keras.models.load_model(f"{folder}/{kind}.keras")
    np.savez(f"{folder}/{kind}.npz", p=model.predict(x, batch_size=2, verbose=0), bound=model.log_likelihood_bound(x),
             generated=model.generate([0, 1], (5, 6)).numpy(), steps=int(model.optimizer.iterations))
"""


def test_files_load_in_a_new_process(tmp_path, x, y):
    trained = {kind: randomise(make_model(kind, likelihood="gaussian")) for kind in LOG_WEIGHTS}
    np.save(tmp_path / "x.npy", x)
    for kind, model in trained.items():
        model.adapt(x + np.arange(5)[:, None, None])
        model.compile(optimizer="adam")
        model.fit(stream(x, y, x), steps_per_epoch=2, verbose=0, shuffle=False)
        model.save(tmp_path / f"{kind}.keras")
    subprocess.run([sys.executable, "-c", LOAD, str(tmp_path), *trained], check=True, capture_output=True)
    for kind, model in trained.items():
        with np.load(tmp_path / f"{kind}.npz") as loaded:
            np.testing.assert_allclose(loaded["p"], model.predict(x, verbose=0), atol=1e-6)
            np.testing.assert_allclose(loaded["bound"], model.log_likelihood_bound(x), rtol=1e-5)
            np.testing.assert_allclose(loaded["generated"], model.generate([0, 1], (5, 6)).numpy(), rtol=1e-5)
            assert loaded["steps"] == 2
