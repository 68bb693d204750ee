"""Every model of x alone: bounds by Monte Carlo over the factorisation written out, limits, fit, files."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tests.conftest import randomise
from tfadgm import models
from tfadgm.inference.elbo import importance_weighted
from tfadgm.inference.sampling import Sampler
from tfadgm.models.density import DensityModel

SAMPLES = 20_000


def make(kind: str, **options) -> DensityModel:
    keras.utils.set_random_seed(0)
    defaults = {"hidden_units": (8, 7), "latent_units": 4, "likelihood": "bernoulli", "xla": False}
    if kind == "AVAE":
        defaults["auxiliary_units"] = 2
    if kind == "NFVAE":
        defaults["flows"] = 3
    if kind == "IWAE":
        defaults["importance_samples"] = 5
    return getattr(models, kind)((2, 3), **{**defaults, **options})


def prior(z):
    return tf.reduce_sum(tfd.Normal(0.0, 1.0).log_prob(z), -1)


def chain(model, z):
    """log p(z_1|z_2) + ... + log p(z_L)."""
    pairs = zip(model.p_z, z[:-1], z[1:], strict=True)
    return sum((network.distribution(above).log_prob(own) for network, own, above in pairs), prior(z[-1]))


def vae_log_weight(model, x, samples):
    z, log_q, below = [], 0.0, x
    for layer, network in enumerate(model.q_z):
        q = network.distribution(below)
        below = q.sample(*([samples] if layer == 0 else []), seed=[0, layer])
        log_q += q.log_prob(below)
        z.append(below)
    return model.p_x_z.distribution(z[0]).log_prob(x) + chain(model, z) - log_q


def avae_log_weight(model, x, samples):
    q_a = model.q_a[0].distribution(x)
    a = [q_a.sample(samples, seed=[0, 1])]
    q_z = model.q_z[0].distribution(a[0], x)
    z = [q_z.sample(seed=[0, 2])]
    log_q, log_p_a = q_a.log_prob(a[0]) + q_z.log_prob(z[0]), 0.0
    if model.stochastic_layers == 2:
        q_a = model.q_a[1].distribution(a[0], x)
        a.append(q_a.sample(seed=[0, 3]))
        q_z = model.q_z[1].distribution(a[1], z[0])
        z.append(q_z.sample(seed=[0, 4]))
        log_q += q_a.log_prob(a[1]) + q_z.log_prob(z[1])
        log_p_a += model.p_a[1].distribution(x, z[1]).log_prob(a[1])
        log_p_a += model.p_a[0].distribution(x, z[0], a[1]).log_prob(a[0])
    else:
        log_p_a += model.p_a[0].distribution(x, z[0]).log_prob(a[0])
    return model.p_x_z.distribution(z[0]).log_prob(x) + log_p_a + chain(model, z) - log_q


def nf_vae_log_weight(model, x, samples):
    """Every map by its formula: z + u' tanh(w.z + b) and log(1 + w.u' (1 - tanh^2))."""
    q = model.q_z0_x.distribution(x)
    z = q.sample(samples, seed=[0, 1])
    log_q, parameters, z = q.log_prob(z), model.f_x(x).numpy(), z.numpy()
    for part in np.split(parameters, model.flows, 1):
        w, u, b = part[:, :4], part[:, 4:8], part[:, 8]
        inner = (w * u).sum(1, keepdims=True)
        slope = 0.01 + 0.99 * np.log1p((np.e - 1) * np.exp(inner))
        u = u + (slope - 1 - inner) * w / (w**2).sum(1, keepdims=True)
        hyperbolic = np.tanh((w * z).sum(-1) + b)
        log_q -= np.log(1 + (1 - hyperbolic**2) * (w * u).sum(1))
        z = z + u * hyperbolic[..., None]
    return model.p_x_z.distribution(z).log_prob(x) + prior(z) - log_q


def ladder(model, x):
    """Mean and deviation of what every d_l says; all layers rectified and normalised but the last of each network."""
    d = x.numpy()
    for network in model.n_z_d:
        for dense, norm in zip([network.projections[0], *network.layers[:-1]], network.norms, strict=True):
            d = (d @ dense.kernel.numpy() - norm.mean.numpy()) / np.sqrt(norm.variance.numpy() + norm.epsilon)
            d = np.maximum(0, norm.gamma.numpy() * d + norm.beta.numpy())
        mean, raw = np.split(d @ network.layers[-1].kernel.numpy() + network.layers[-1].bias.numpy(), 2, axis=1)
        yield mean, np.exp(4 * np.tanh(raw / 8))


def lvae_log_weight(model, x, samples):
    *lower, q = [tfd.MultivariateNormalDiag(*part) for part in ladder(model, x)]
    z = [q.sample(samples, seed=[0, 1])]
    log_q = q.log_prob(z[0])
    if model.stochastic_layers == 2:
        (said,), p = lower, model.p_z[0].distribution(z[0])
        precision = 1 / said.variance() + 1 / p.variance()
        mean = (said.mean() / said.variance() + p.mean() / p.variance()) / precision
        q = tfd.MultivariateNormalDiag(mean, precision**-0.5)
        z.insert(0, q.sample(seed=[0, 2]))
        log_q += q.log_prob(z[0])
    return model.p_x_z.distribution(z[0]).log_prob(x) + chain(model, z) - log_q


LOG_WEIGHTS = {
    "VAE": vae_log_weight, "IWAE": vae_log_weight, "AVAE": avae_log_weight, "NFVAE": nf_vae_log_weight,
    "LVAE": lvae_log_weight,
}  # fmt: skip
ALL = pytest.mark.parametrize("kind", LOG_WEIGHTS)
SLOW_ALL = pytest.mark.parametrize(
    "kind", [kind if kind == "VAE" else pytest.param(kind, marks=pytest.mark.slow) for kind in LOG_WEIGHTS]
)
LAYERS = pytest.mark.parametrize(
    ("kind", "layers"), [(kind, layers) for kind in LOG_WEIGHTS for layers in (1, 2) if (kind, layers) != ("NFVAE", 2)]
)


def test_no_model_is_missing_here():
    exported = {cls.__name__ for cls in models.MODELS.values() if issubclass(cls, DensityModel)}
    assert exported == set(LOG_WEIGHTS)


@LAYERS
@pytest.mark.parametrize("exact", [pytest.param(True, marks=pytest.mark.slow), False])
def test_log_weights_by_monte_carlo(kind, layers, exact, x):
    """Their mean is that of the factorisation written out above (5 s.e.), whether divergences are exact or sampled."""
    model = randomise(make(kind, stochastic_layers=layers))
    rows = model.scaling(x)
    expected = LOG_WEIGHTS[kind](model, rows, SAMPLES).numpy()
    found = model._weights(rows, Sampler((3, 4), SAMPLES, analytic_kl=exact)).numpy()
    assert found.shape == (SAMPLES, 5)
    error = np.sqrt((found.var(0) + expected.var(0)) / SAMPLES)
    assert (np.abs(found.mean(0) - expected.mean(0)) < 5 * error).all()


@LAYERS
def test_many_samples_agree_on_the_evidence(kind, layers, x):
    """log mean w does not depend on how q is sampled: it estimates log p(x), here of the same p."""
    model = randomise(make(kind, stochastic_layers=layers))
    rows = model.scaling(x)
    expected = LOG_WEIGHTS[kind](model, rows, SAMPLES).numpy()
    found = model._weights(rows, Sampler((3, 4), SAMPLES)).numpy()
    one, two = (importance_weighted(tf.constant(part), SAMPLES).numpy() for part in (expected, found))
    relative = [np.exp(part - part.max(0)).std(0) / np.exp(part - part.max(0)).mean(0) for part in (expected, found)]
    error = np.sqrt((relative[0] ** 2 + relative[1] ** 2) / SAMPLES)
    assert (np.abs(one - two) < 5 * error + 1e-3).all()


def test_the_bound_averages_groups():
    weights = tf.math.log(tf.constant([[1.0], [3.0], [2.0], [6.0]]))
    np.testing.assert_allclose(importance_weighted(weights, 2), [(np.log(2) + np.log(4)) / 2], rtol=1e-6)
    np.testing.assert_allclose(importance_weighted(weights, 1), [np.log([1, 3, 2, 6]).mean()], rtol=1e-6)
    np.testing.assert_allclose(importance_weighted(weights, 4), [np.log(3)], rtol=1e-6)


@pytest.mark.parametrize("kind", ["IWAE", "AVAE"])
def test_the_bound_of_a_user_has_his_importance_samples(kind, x):
    """K = 3 of his, over M = 2 of the model, whatever K it was trained with."""
    model = randomise(make(kind, mc_samples=2))
    weights = model._weights(model.scaling(x), Sampler((0, 0), 6))
    found = model.log_likelihood_bound(x, importance_samples=3)
    np.testing.assert_allclose(found, importance_weighted(weights, 3), rtol=1e-5)


def test_a_useless_auxiliary_variable_leaves_the_vae(x):
    """With q(z|a,x) = q(z|x) and p(a|x,z) = q(a|x), weight for weight."""
    avae, vae = randomise(make("AVAE")), make("VAE", seed=0)
    for network in (avae.q_z[0].projections[0], avae.p_a[0].projections[1]):
        network.kernel.assign(tf.zeros_like(network.kernel))
    for theirs, own in (
        (avae.q_z[0].projections[1], vae.q_z[0].projections[0]),
        *zip([*avae.q_z[0].layers, *avae.q_z[0].norms], [*vae.q_z[0].layers, *vae.q_z[0].norms], strict=True),
        (avae.q_a[0].projections[0], avae.p_a[0].projections[0]),
        *zip([*avae.q_a[0].layers, *avae.q_a[0].norms], [*avae.p_a[0].layers, *avae.p_a[0].norms], strict=True),
        *zip(avae.p_x_z.projections, vae.p_x_z.projections, strict=True),
        *zip([*avae.p_x_z.layers, *avae.p_x_z.norms], [*vae.p_x_z.layers, *vae.p_x_z.norms], strict=True),
    ):
        for source, target in zip(theirs.weights, own.weights, strict=True):
            target.assign(source)
    sampler = Sampler((1, 2), 7)
    sampler.drawn = 1  # the VAE has no a to draw
    expected = vae._weights(vae.scaling(x), sampler)
    np.testing.assert_allclose(avae._weights(avae.scaling(x), Sampler((1, 2), 7)), expected, rtol=1e-4)


@SLOW_ALL
def test_fit_learns(kind, x):
    model = make(kind, warm_up=5, weight_prior=1e-3)
    model.compile(optimizer=keras.optimizers.Adam(1e-2))
    stream = tf.data.Dataset.from_tensors({"unlabeled": x}).repeat()
    history = model.fit(stream, epochs=3, steps_per_epoch=20, verbose=0, shuffle=False).history
    assert set(history) == {"loss", "elbo"}
    assert history["elbo"][-1] > history["elbo"][0]
    found = model.evaluate(x, verbose=0, return_dict=True)["elbo"]
    assert found == pytest.approx(float(tf.reduce_mean(model.elbo(x))), rel=1e-4)


@ALL
def test_warm_up_weighs_the_divergences(kind, x):
    """At first only log p(x|z) counts, here with a p that does not look at z."""
    model = randomise(make(kind, importance_samples=1, warm_up=4, batch_norm=False))
    model.compile(optimizer=keras.optimizers.SGD(0.0))
    model.optimizer.build(model.trainable_variables)
    head = model.p_x_z.layers[-1]
    head.kernel.assign(tf.zeros_like(head.kernel))
    seeds, rows = tf.random.split(tf.constant([0, 1]), 5), model.scaling(x)
    ends = [model._weights(rows, Sampler(seeds[3], 1, kl_weight=weight, analytic_kl=True))[0] for weight in (0.0, 1.0)]
    likelihood = tfd.Bernoulli(logits=head.bias.value).log_prob(rows)
    np.testing.assert_allclose(ends[0], tf.reduce_sum(likelihood, -1), rtol=1e-4)
    assert (np.abs(ends[1] - ends[0]) > 0.01).all()
    for step, weight in enumerate([0.0, 0.25, 0.5, 0.75, 1.0, 1.0]):
        model.optimizer.iterations.assign(step)
        bound = model.training_terms({"unlabeled": x}, seeds)[1]["elbo"]
        np.testing.assert_allclose(bound, weight * ends[1] + (1 - weight) * ends[0], rtol=1e-4)


@LAYERS
def test_generation_and_reconstruction(kind, layers, x):
    model = randomise(make(kind, stochastic_layers=layers))
    first, again, other = (model.generate(4, seed).numpy() for seed in ((0, 1), (0, 1), (0, 2)))
    assert first.shape == (4, 2, 3)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert model.predict(x, verbose=0).shape == x.shape
    assert model.embed(x).shape == (5, 4)


@pytest.mark.slow
def test_networks_of_the_auxiliary_variable_may_be_smaller(tmp_path, x):
    model = randomise(make("AVAE", stochastic_layers=2, auxiliary_hidden_units=(3,)))
    widths = {
        name: [network.projections[0].units for network in getattr(model, name)] for name in ("q_a", "q_z", "p_a")
    }
    assert widths == {"q_a": [3, 3], "q_z": [8, 8], "p_a": [3, 3]}
    assert [len(network.layers) for network in (*model.q_a, *model.p_a)] == [1] * 4
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_allclose(loaded.log_likelihood_bound(x), model.log_likelihood_bound(x), rtol=1e-5)


@pytest.mark.slow
@ALL
def test_files_load(tmp_path, kind, x):
    model = randomise(make(kind, stochastic_layers=1 if kind == "NFVAE" else 2))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.log_likelihood_bound(x), model.log_likelihood_bound(x), rtol=1e-5)
    np.testing.assert_allclose(loaded.generate(3, (5, 6)), model.generate(3, (5, 6)), rtol=1e-5)
