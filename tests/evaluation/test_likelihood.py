"""Importance-sampled log p(x) against exact evidence, its file, its memory, and what goes before it."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import multivariate_normal

import tfadgm
from tests.conftest import make_model, randomise
from tests.models.test_linear_gaussian import COVARIANCE, LOADING, NOISE, draw, exact_m2, log_evidence
from tfadgm import models
from tfadgm.errors import InputError
from tfadgm.evaluation import likelihood
from tfadgm.evaluation.likelihood import log_likelihood, prepare_inputs, refit_statistics, summary
from tfadgm.inference.elbo import importance_weighted
from tfadgm.inference.sampling import Sampler

SAMPLES = 5000


def raw(variance: float) -> float:
    return 8 * np.arctanh(np.log(variance) / 8)


def linear_gaussian(kind: str, layers: int = 1) -> models.DensityModel:
    """z_1 ~ N(0, 1), x = LOADING z_1 + NOISE e, with a posterior that is somewhat off; z_1|z_2 ~ N(0.8 z_2, 0.36)."""
    options = {"auxiliary_units": 1} if kind == "AVAE" else {"flows": 2} if kind == "NFVAE" else {}
    model = getattr(models, kind)(
        (2,), hidden_units=(), batch_norm=False, latent_units=1, stochastic_layers=layers, likelihood="gaussian",
        **options,
    )  # fmt: skip
    for weight in model.trainable_variables:
        weight.assign(0.3 * np.random.default_rng(0).normal(size=weight.shape))
    model.p_x_z.projections[0].kernel.assign([[*LOADING, 0, 0]])
    model.p_x_z.projections[0].bias.assign([0, 0, raw(NOISE**2), raw(NOISE**2)])
    for network in model.p_z:
        network.projections[0].kernel.assign([[0.8, 0]])
        network.projections[0].bias.assign([0, raw(1 - 0.8**2)])
    return model


@pytest.mark.parametrize(
    ("kind", "layers"),
    [
        ("NFVAE", 1),
        *(
            pytest.param(kind, layers, marks=pytest.mark.slow)
            for kind, layers in (
                ("VAE", 1),
                ("IWAE", 1),
                ("AVAE", 1),
                ("LVAE", 1),
                ("AVAE", 2),
                ("VAE", 2),
                ("LVAE", 2),
            )
        ),
    ],
)
def test_the_estimate_is_the_evidence(kind, layers):
    """Within 3 standard errors at 5000 samples, which p(a|x,z) and q do not change."""
    x = np.random.default_rng(1).multivariate_normal(np.zeros(2), COVARIANCE, 250).astype(np.float32)
    exact = multivariate_normal(np.zeros(2), COVARIANCE).logpdf(x)
    found = log_likelihood(linear_gaussian(kind, layers), x, SAMPLES)
    error = np.sqrt(1 / found["effective_samples"] - 1 / SAMPLES)
    gap = found["log_p"] - exact
    assert np.abs(gap.mean()) < 3 * np.sqrt((error**2).sum()) / 250 + 1e-4
    assert np.mean(np.abs(gap) < 3 * error + 1e-4) > 0.98
    assert (error < 0.5).all()


@pytest.mark.parametrize("kind", ["VAE", "IWAE", "AVAE", "NFVAE", "LVAE"])
def test_bounds_rise_towards_the_evidence(kind):
    """E log mean_K w grows with K and stays below log p(x) (Burda et al. 2016, theorem 1); other samples for each K."""
    x = np.random.default_rng(1).multivariate_normal(np.zeros(2), COVARIANCE, 20).astype(np.float32)
    exact = multivariate_normal(np.zeros(2), COVARIANCE).logpdf(x).mean()
    model, found = linear_gaussian(kind), []
    for number, count in enumerate((1, 2, 10, 100)):
        weights = model._weights(tf.constant(x), Sampler((7, number), 20_000))
        groups = tf.reduce_logsumexp(tf.reshape(weights, [20_000 // count, count, 20]), 1) - np.log(count)
        means = groups.numpy().mean(1)
        assert importance_weighted(weights, count).numpy().mean() == pytest.approx(means.mean(), abs=1e-3)
        found.append((means.mean(), means.std() / len(means) ** 0.5))
    for (lower, error), (higher, other) in zip(found, [*found[1:], (exact, 0.0)], strict=True):
        assert lower < higher + 3 * (error + other)
    assert found[0][0] < found[2][0] < exact


@pytest.mark.parametrize("off", [0.0, pytest.param(0.4, marks=pytest.mark.slow)])
def test_classes_are_summed_out(off):
    """The M2 whose evidence is known; with its true posteriors every sample says the same."""
    x, _ = draw(120, seed=0)
    model = exact_m2()
    model.q_z_xy.projections[0].bias.assign_add([off, 0.0])
    found = log_likelihood(model, x, SAMPLES)
    error = np.sqrt(np.maximum(1 / found["effective_samples"] - 1 / SAMPLES, 0))
    gap = found["log_p"] - log_evidence(x)[1]
    assert (np.abs(gap) < 4 * error + 1e-3).all()
    if not off:
        np.testing.assert_allclose(found["effective_samples"], SAMPLES, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ADGM", "SDGM"])
def test_an_auxiliary_variable_is_summed_out_too(kind, x):
    """Two samplers of one p, the second after q has changed, agree."""
    model, found = randomise(make_model(kind)), []
    for scale in (1.0, 0.7):
        for network in (model.q_a_x, model.q_z_axy):
            network.layers[-1].kernel.assign(scale * network.layers[-1].kernel)
        found.append(log_likelihood(model, x, SAMPLES))
    error = np.sqrt(sum(1 / one["effective_samples"] for one in found))
    assert (np.abs(found[0]["log_p"] - found[1]["log_p"]) < 5 * error).all()
    bound = model.log_likelihood_bound(x)
    assert (found[1]["log_p"] > bound - 5 * error).all()


@pytest.fixture
def small(monkeypatch) -> tuple[models.DensityModel, np.ndarray]:
    monkeypatch.setattr(likelihood, "BLOCK", 4)
    return linear_gaussian("VAE"), np.random.default_rng(2).normal(size=[10, 2]).astype(np.float32)


def test_an_estimate_goes_on_where_it_was_stopped(small, tmp_path):
    model, x = small
    whole, path = log_likelihood(model, x, 100), tmp_path / "log_likelihood.npz"

    def stop(done: int) -> None:
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        log_likelihood(model, x, 100, path=path, progress=stop)
    counted = []
    found = log_likelihood(model, x, 100, path=path, progress=counted.append)
    assert counted == [10]
    for name in whole:
        np.testing.assert_array_equal(found[name], whole[name])
    with np.load(path) as kept:
        np.testing.assert_array_equal(kept["log_p"], whole["log_p"])


def test_another_estimate_is_not_gone_on_with(small, tmp_path):
    model, x = small
    path = tmp_path / "log_likelihood.npz"
    log_likelihood(model, x, 100, path=path)
    with pytest.raises(InputError, match="Expected .* of the same estimate. Received one that differs in samples"):
        log_likelihood(model, x, 200, path=path)
    again = log_likelihood(model, x, 100, path=path, memory=1)  # nothing is left to do
    assert len(again["log_p"]) == len(x)
    with pytest.raises(InputError, match="differs in points: ask"):
        log_likelihood(model, x[::-1], 100, path=path)
    model.weights[0].assign_add(tf.ones_like(model.weights[0]))  # as after more epochs
    with pytest.raises(InputError, match="differs in weights: ask"):
        log_likelihood(model, x, 100, path=path)
    path.write_bytes(b"damaged")
    with pytest.raises(InputError, match="Expected an estimate to go on with"):
        log_likelihood(model, x, 100, path=path)


@pytest.mark.slow
def test_samples_come_in_parts_that_memory_allows(small, monkeypatch):
    model, x = small
    monkeypatch.setattr(likelihood, "MOST_ROWS", 4 * 30)
    parts = log_likelihood(model, x, 3000)
    monkeypatch.setattr(likelihood, "MOST_ROWS", 4 * 3000)
    whole = log_likelihood(model, x, 3000)
    error = np.sqrt(1 / parts["effective_samples"] + 1 / whole["effective_samples"])
    assert (np.abs(parts["log_p"] - whole["log_p"]) < 5 * error).all()
    with pytest.raises(InputError, match="Expected a memory of at least .* MiB for this model .* Received: 100"):
        log_likelihood(model, x, 10, memory=100)


PEAK = """
import sys
import numpy as np
from tfadgm.evaluation.likelihood import _taken, log_likelihood
from tfadgm.models import VAE
model, x = VAE((12_000,), hidden_units=(100,)), np.zeros([100, 12_000], np.float32)
memory = _taken() + int(sys.argv[1])
log_likelihood(model, x, 50, memory=memory)
print(_taken() - memory)
"""


@pytest.mark.slow
def test_the_process_stays_within_its_memory():
    """Of 450 MiB more than it takes before; all 50 samples at a time would take 600."""
    run = [sys.executable, "-c", PEAK, "450"]
    assert int(subprocess.run(run, check=True, capture_output=True, text=True).stdout) < 0


def test_an_estimate_goes_on_with_another_memory(small, tmp_path):
    """As many samples at a time as before, or not at all."""
    model, x = small
    whole, path = log_likelihood(model, x, 100), tmp_path / "log_likelihood.npz"

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        log_likelihood(model, x, 100, path=path, progress=stop)
    with pytest.raises(InputError, match="Expected a memory of at least .*, as the estimate was begun. Received: 100"):
        log_likelihood(model, x, 100, path=path, memory=100)
    found = log_likelihood(model, x, 100, path=path, memory=10**6)
    np.testing.assert_array_equal(found["log_p"], whole["log_p"])


@pytest.mark.slow
def test_what_another_process_has_taken_does_not_count():
    """That of a large process which starts this one, as a shell or a notebook may be."""
    told = "from tfadgm.evaluation.likelihood import _taken; print(_taken())"
    large = "import subprocess, sys; b'x' * 10**9; subprocess.run([sys.executable, *sys.argv[1:]], check=True)"
    run = [sys.executable, "-c", large, "-c", told]
    assert int(subprocess.run(run, check=True, capture_output=True, text=True).stdout) < 900


@pytest.mark.slow
def test_a_part_that_is_not_full_counts_what_it_holds(small, monkeypatch):
    """7 samples in parts of 3 are the mean of 7 weights."""
    model, x = small
    monkeypatch.setattr(likelihood, "MOST_ROWS", 4 * 3)
    found = log_likelihood(model, x[:4], 7)
    keys = [tf.random.fold_in(tf.constant([0, 0]), number) for number in range(3)]
    draw = tf.function(lambda key: model.log_weights(x[:4], Sampler(key, 3)), jit_compile=True)
    weights = np.concatenate([draw(key) for key in keys])[:7]  # inside XLA, where seeds draw other numbers
    np.testing.assert_allclose(found["log_p"], np.log(np.exp(weights).mean(0)), rtol=1e-4)
    squares = np.exp(weights).sum(0) ** 2 / np.exp(2 * weights).sum(0)
    np.testing.assert_allclose(found["effective_samples"], squares, rtol=1e-3)


def test_the_summary_is_a_mean_with_its_error():
    told = summary({"log_p": np.array([1.0, 2.0, 3.0]), "effective_samples": np.array([5.0, 1.0, 2.0])})
    assert told == pytest.approx({"log_likelihood": 2.0, "standard_error": 1 / 3**0.5, "median_effective_samples": 2.0})


def test_test_points_are_binarised_once():
    grey = np.full([2000, 2, 3], 51, np.uint8)
    model = tfadgm.M2((2, 3), 2, hidden_units=(8,), latent_units=2)
    model.adapt(np.array([[[255, 0, 0], [0, 0, 0]]], np.uint8))
    binary = prepare_inputs(model, grey)
    assert set(np.unique(binary)) == {0, 255}
    assert (binary > 0).mean() == pytest.approx(0.2, abs=0.02)
    np.testing.assert_array_equal(binary, prepare_inputs(model, grey))
    model.total_count = 4
    counts = prepare_inputs(model, grey)
    assert set(np.unique(counts)) == {0, 63.75, 127.5, 191.25, 255}
    assert np.unique(model.prepare_inputs(tf.constant(grey), (0, 0))).tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert counts.mean() == pytest.approx(51, rel=0.05)
    model.binarize = False
    assert prepare_inputs(model, grey) is grey


def test_statistics_are_those_of_one_pass():
    model = models.VAE((2, 3), hidden_units=(8,), latent_units=2, binarize=False)
    x = np.random.default_rng(0).random([700, 2, 3]).astype(np.float32)
    norm = model.q_z[0].norms[0]
    momentum = norm.momentum
    refit_statistics(model, x, batch=100)
    hidden = model.q_z[0].projections[0](x.reshape(-1, 6)).numpy()
    np.testing.assert_allclose(norm.mean, hidden.mean(0), atol=1e-5)
    np.testing.assert_allclose(norm.variance, hidden.var(0), rtol=0.1)
    assert norm.momentum == momentum


def test_estimates_of_a_model_are_compiled_once(small):
    model, x = small
    for _ in range(3):
        log_likelihood(model, x, 10)
    assert model.traced(likelihood._accumulate).experimental_get_tracing_count() == 1
