"""Every model: bounds by brute force and Monte Carlo, limits, training."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tests.conftest import ALL, CLASSES, KINDS, SLOW_ALL, make_model, randomise, stream
from tfadgm import models
from tfadgm.models.deep_generative import DeepGenerativeClassifier
from tfadgm.nn.normalization import BatchNorm

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
LIKELIHOODS = pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])


def test_no_model_is_missing_here():
    exported = {cls.__name__ for cls in models.MODELS.values() if issubclass(cls, DeepGenerativeClassifier)}
    assert exported == set(LOG_WEIGHTS) == set(KINDS)


@ALL
@LIKELIHOODS
def test_labeled_elbo_by_monte_carlo(kind, likelihood, x, y):
    """The bound equals the mean of sampled log-densities of the factorisation written out above (5 s.e.)."""
    model = randomise(make_model(kind, likelihood=likelihood, samples=SAMPLES))
    rows, one_hot = model.scaling(x), tf.one_hot(y, CLASSES)
    sampled = LOG_WEIGHTS[kind](model, rows, one_hot, SAMPLES).numpy()
    bound = model.labeled_elbo(x, y, seed=[3, 4]).numpy()
    error = sampled.std(0) / np.sqrt(SAMPLES)
    assert bound.shape == (5,)
    assert (np.abs(bound - sampled.mean(0)) < 5 * np.sqrt(2) * error).all()


@ALL
@pytest.mark.parametrize("bn_mode", ["average", "batch"])
def test_unlabeled_elbo_is_the_loop_over_classes(kind, bn_mode, x):
    """sum_y q(y|a,x) (-L(x,y,a) - log q(y|a,x)) - log q(a|x), one class at a time."""
    model = randomise(make_model(kind, batch_norm=bn_mode == "average"))
    sampler, rows = model.sampler([1, 2], 5, bn_mode), model.scaling(x)
    a, log_q_a = model.infer_auxiliary(rows, sampler)
    q = tf.nn.softmax(model.logits_given(rows, a, sampler)).numpy()[0]
    expected = -log_q_a.numpy()[0]
    for label in range(CLASSES):
        one_hot = tf.one_hot(np.full([1, 1, 5], label), CLASSES)
        bound = model.class_elbo(rows, a, one_hot, sampler).numpy()[0, 0]
        expected += q[:, label] * (bound - np.log(q[:, label]))
    np.testing.assert_allclose(model.unlabeled_elbo(x, seed=[1, 2], bn_mode=bn_mode), expected, rtol=1e-4)


@SLOW_ALL
def test_rao_blackwellised_bound_has_the_mean_of_the_exact_one(kind, x):
    exact = randomise(make_model(kind))
    sampled = randomise(make_model(kind, marginalization="rao_blackwellised"))
    values = np.stack([sampled.unlabeled_elbo(np.tile(x, [400, 1, 1]), seed=[1, i]) for i in range(5)])
    expected = np.stack([exact.unlabeled_elbo(np.tile(x, [400, 1, 1]), seed=[2, i]) for i in range(5)])
    gap, error = values.reshape(-1, 5) - expected.reshape(-1, 5), np.sqrt(2000)
    assert (np.abs(gap.mean(0)) < 5 * gap.std(0) / error).all()


@ALL
def test_a_certain_classifier_turns_the_unlabeled_into_the_labeled_elbo(kind, x):
    model = randomise(make_model(kind))
    network = model.q_y_x if kind == "M2" else model.q_y_ax
    network.layers[-1].kernel.assign(tf.zeros_like(network.layers[-1].kernel))
    network.layers[-1].bias.assign([0.0, 300.0, 0.0])
    unlabeled = model.unlabeled_elbo(x, seed=[1, 2])
    np.testing.assert_allclose(unlabeled, model.labeled_elbo(x, np.full(5, 1), seed=[1, 2]), rtol=1e-5)


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
    np.testing.assert_allclose(model.labeled_elbo(x, y, seed=[0, 1]), expected, rtol=1e-4)


@LIKELIHOODS
def test_draws_multiply_the_bernoulli_likelihood(likelihood, x, y):
    """Four draws score four times log p(x|.); a Gaussian feature stands for itself."""
    one, four = (randomise(make_model("M2", likelihood=likelihood, total_count=draws)) for draws in (1, 4))
    rows, sampler = one.scaling(x), one.sampler([1, 2], 5)
    one_hot = tf.one_hot(y, CLASSES)[None, None]
    q_z = one.q_z_xy.distribution(rows, one_hot)
    log_p_x = one.p_x_zy.distribution(q_z.mean() + q_z.stddev() * sampler.noise["z"], one_hot).log_prob(rows)
    gap = four.class_elbo(rows, None, one_hot, sampler) - one.class_elbo(rows, None, one_hot, sampler)
    np.testing.assert_allclose(gap, 3 * log_p_x if likelihood == "bernoulli" else 0 * log_p_x, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("draws", [1, 4])
def test_prepare_inputs_is_the_mean_of_draws(draws):
    model = make_model("M2", total_count=draws)
    grey = np.full([5000, 2, 3], 0.3, np.float32)
    rows = model.prepare_inputs(grey, tf.constant([0, 1])).numpy()
    assert set(np.unique(rows)) == set(np.float32(np.arange(draws + 1) / draws))
    assert rows.mean() == pytest.approx(0.3, abs=0.01)
    assert rows.var() == pytest.approx(0.3 * 0.7 / draws, rel=0.05)
    assert (rows != model.prepare_inputs(grey, tf.constant([0, 2])).numpy()).any()
    mean = make_model("M2", total_count=draws, binarize=False).prepare_inputs(grey, tf.constant([0, 1]))
    np.testing.assert_array_equal(mean, grey.reshape(-1, 6))


@pytest.mark.parametrize(
    ("kind", "marginalization", "samples", "xla"),
    [
        pytest.param("M2", "rao_blackwellised", 2, False, marks=pytest.mark.slow),
        pytest.param("M2", "exact", 1, True, marks=pytest.mark.slow),
        pytest.param("SDGM", "rao_blackwellised", 2, False, marks=pytest.mark.slow),
        pytest.param("ADGM", "exact", 1, False, marks=pytest.mark.slow),
        pytest.param("SDGM", "exact", 3, True, marks=pytest.mark.slow),
    ],
)
def test_fit_learns(kind, marginalization, samples, xla, x, y):
    model = make_model(
        kind, marginalization=marginalization, samples=samples, alpha=2.0, weight_prior=1e-3, xla=xla, hidden_units=(6,)
    )
    model.compile(optimizer=keras.optimizers.Adam(1e-2))
    history = model.fit(stream(x, y, x), epochs=3, steps_per_epoch=20, verbose=0, shuffle=False).history
    assert set(history) == {"loss", "labeled_elbo", "unlabeled_elbo", "label_nll"}
    assert history["loss"][-1] < history["loss"][0]
    assert history["label_nll"][-1] < history["label_nll"][0]


@SLOW_ALL
def test_warm_up_raises_the_weight_of_the_divergences(kind, x, y):
    """A bound in training lies between the one without divergences, at the first step, and the whole one at last."""
    model = randomise(make_model(kind, warm_up=4, batch_norm=False))
    model.compile(optimizer=keras.optimizers.SGD(0.0))
    model.optimizer.build(model.trainable_variables)
    rows, seeds = model.scaling(x), tf.random.split(tf.constant([0, 1]), 5)
    sampler = model.sampler(seeds[2], 5, "batch")
    none, full = (model.labeled_terms(rows, y, sampler.replace(kl_weight=weight))[0] for weight in (0.0, 1.0))
    for step, weight in enumerate([0.0, 0.25, 0.5, 0.75, 1.0, 1.0]):
        model.optimizer.iterations.assign(step)
        labeled = model.training_terms({"labeled": (x, y), "unlabeled": x}, seeds)[1]["labeled_elbo"]
        np.testing.assert_allclose(labeled, weight * full + (1 - weight) * none, rtol=1e-5)


@SLOW_ALL
@pytest.mark.parametrize("owner", ["unlabeled", "labeled"])
def test_averages_of_batch_normalisation_belong_to_one_stream(kind, owner, x, y):
    """Every network has averages of its own, and other points of the other stream leave them as they are."""
    averages = []
    for other in (x, 1 - x):
        model = make_model(kind, batch_norm_stream=owner)
        before = [weight.numpy() for layer in model._flatten_layers() if isinstance(layer, BatchNorm)
                  for weight in (layer.mean, layer.variance)]  # fmt: skip
        model.compile(optimizer=keras.optimizers.SGD(0.0), run_eagerly=True)
        batches = stream(other, y, x) if owner == "unlabeled" else stream(x, y, other)
        model.fit(batches, steps_per_epoch=1, verbose=0, shuffle=False)
        after = [weight.numpy() for layer in model._flatten_layers() if isinstance(layer, BatchNorm)
                 for weight in (layer.mean, layer.variance)]  # fmt: skip
        assert len(after) == 4 * len(model.layers[1:])
        assert all((old != new).any() for old, new in zip(before, after, strict=True))
        averages.append(after)
    for left, right in zip(*averages, strict=True):
        np.testing.assert_array_equal(left, right)


@ALL
def test_every_input_of_every_network_matters(kind, x, y):
    """The bound has a gradient with respect to each projection: none is given zeros in place of its input."""
    model = randomise(make_model(kind))
    kernels = [projection.kernel for network in model.layers[1:] for projection in network.projections]
    with tf.GradientTape() as tape:
        seeds = tf.random.split(tf.constant([0, 1]), 5)
        loss, _ = model.training_terms({"labeled": (x, y), "unlabeled": x}, seeds)
    gradients = tape.gradient(loss, [kernel.value for kernel in kernels])
    assert all((np.abs(gradient) > 0).any() for gradient in gradients)
