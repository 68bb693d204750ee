"""A linear-Gaussian toy whose evidence is known: the exact bound, and the bound after fitting."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import multivariate_normal

import tfadgm

# p(y) = 1/2, z ~ N(0, 1), x = MEANS[y] + LOADING z + NOISE e, so x | y ~ N(MEANS[y], LOADING LOADING' + NOISE^2).
MEANS = np.array([[-1.5, 0.5], [1.0, -1.0]])
LOADING = np.array([0.8, 0.5])
NOISE = 0.6
COVARIANCE = np.outer(LOADING, LOADING) + NOISE**2 * np.eye(2)


def draw(points: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    y = generator.integers(0, 2, points)
    x = MEANS[y] + generator.normal(size=[points, 1]) * LOADING + NOISE * generator.normal(size=[points, 2])
    return x.astype(np.float32), y


def log_evidence(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log p(x,y) [N, 2] and log p(x) [N]."""
    joint = np.stack([np.log(0.5) + multivariate_normal(mean, COVARIANCE).logpdf(x) for mean in MEANS], 1)
    return joint, np.logaddexp(*joint.T)


def exact_m2() -> tfadgm.M2:
    """The M2 whose p is the toy and whose q(z|x,y) and q(y|x) are its true posteriors, all linear."""
    model = tfadgm.M2((2,), 2, hidden_units=(), batch_norm=False, latent_units=1, likelihood="gaussian", samples=400)
    p_x, q_z, q_y = model.p_x_zy, model.q_z_xy, model.q_y_x

    def raw(variance: float) -> float:
        return 8 * np.arctanh(np.log(variance) / 8)

    p_x.projections[0].kernel.assign([[*LOADING, 0, 0]])
    p_x.projections[0].bias.assign([0, 0, raw(NOISE**2), raw(NOISE**2)])
    p_x.projections[1].kernel.assign(np.concatenate([MEANS, np.zeros([2, 2])], 1))
    gain = LOADING @ np.linalg.inv(COVARIANCE)  # E[z | x, y] = gain (x - MEANS[y])
    q_z.projections[0].kernel.assign(np.stack([gain, np.zeros(2)], 1))
    q_z.projections[0].bias.assign([0, raw(1 - gain @ LOADING)])
    q_z.projections[1].kernel.assign(np.stack([-MEANS @ gain, np.zeros(2)], 1))
    precision = np.linalg.inv(COVARIANCE)
    q_y.projections[0].kernel.assign((MEANS @ precision).T)
    q_y.projections[0].bias.assign([-0.5 * mean @ precision @ mean for mean in MEANS])
    return model


def test_the_true_posteriors_reach_the_evidence():
    """-L(x,y) = log p(x,y) and -U(x) = log p(x), up to the sampling noise of E_q[log p(x|z,y)]."""
    x, y = draw(300, seed=0)
    joint, evidence = log_evidence(x)
    model = exact_m2()
    labeled = model.labeled_elbo(x, y, seed=[0, 1]).numpy() - joint[np.arange(300), y]
    unlabeled = model.unlabeled_elbo(x, seed=[0, 2]).numpy() - evidence
    for gap in (labeled, unlabeled):
        assert abs(gap.mean()) < 5 * gap.std() / np.sqrt(300)
        assert np.abs(gap).max() < 0.3


def test_a_wrong_posterior_costs_its_divergence():
    """Shifting the mean of q(z|x,y) by d lowers -L(x,y) by the KL divergence d^2 / (2 variance)."""
    x, y = draw(300, seed=0)
    model, shift = exact_m2(), 0.4
    before = model.labeled_elbo(x, y, seed=[0, 1]).numpy()
    bias = model.q_z_xy.projections[0].bias
    bias.assign(bias + np.array([shift, 0.0]))
    after = model.labeled_elbo(x, y, seed=[0, 1]).numpy()
    variance = 1 - LOADING @ np.linalg.inv(COVARIANCE) @ LOADING
    assert (before - after).mean() == pytest.approx(shift**2 / (2 * variance), rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["M2", "ADGM", "SDGM"])
def test_a_fitted_bound_comes_close_to_the_evidence(kind):
    """The mean bound on fresh points is below the mean evidence and within 0.05 nats of it."""
    keras.utils.set_random_seed(0)
    x, y = draw(20_000, seed=1)
    options = {} if kind == "M2" else {"auxiliary_units": 1}
    model = getattr(tfadgm, kind)(
        (2,), 2, hidden_units=(32,), batch_norm=False, latent_units=1, likelihood="gaussian", **options
    )
    stream = tf.data.Dataset.from_tensor_slices({"labeled": (x, y), "unlabeled": x}).batch(500).repeat()
    schedule = keras.optimizers.schedules.CosineDecay(1e-2, 1000)
    model.compile(optimizer=keras.optimizers.Adam(schedule))
    model.fit(stream, steps_per_epoch=1000, verbose=0, shuffle=False)
    fresh, labels = draw(20_000, seed=2)
    joint, evidence = log_evidence(fresh)
    for bound, truth in (
        (model.labeled_elbo(fresh, labels, seed=[0, 1]).numpy(), joint[np.arange(len(labels)), labels]),
        (model.unlabeled_elbo(fresh, seed=[0, 1]).numpy(), evidence),
    ):
        gap = truth - bound
        error = gap.std() / np.sqrt(len(gap))
        assert -3 * error < gap.mean() < 0.05
