"""The merge of what is said from above and below, and the shape of the ladder."""

import numpy as np
from tensorflow_probability import distributions as tfd

from tfadgm.models import LVAE
from tfadgm.models.lvae import merge


def test_a_merge_is_the_product_of_two_gaussians():
    one = tfd.Independent(tfd.Normal([[0.0, 2.0]], [[1.0, 0.5]]), 1)
    two = tfd.Independent(tfd.Normal([[1.0, 2.0]], [[1.0, 2.0]]), 1)
    merged = merge(one, two)
    np.testing.assert_allclose(merged.mean(), [[0.5, 2.0]], rtol=1e-6)
    points = np.random.default_rng(0).normal(size=[20, 1, 2]).astype(np.float32)
    constant = merged.log_prob(points) - one.log_prob(points) - two.log_prob(points)
    np.testing.assert_allclose(constant, np.full([20, 1], constant[0]), rtol=1e-4)


def test_the_ladder_narrows():
    model = LVAE((2, 3), hidden_units=(16, 12), latent_units=12, stochastic_layers=3)
    shapes = [[tuple(layer.kernel.shape) for layer in (*n.projections, *n.layers)] for n in model.n_z_d]
    assert shapes == [[(6, 16), (16, 12), (12, 24)], [(12, 8), (8, 6), (6, 12)], [(6, 4), (4, 3), (3, 6)]]
    assert [network.projections[0].units for network in model.p_z] == [8, 4]


def test_a_ladder_of_linear_models(x):
    model = LVAE((2, 3), hidden_units=(), latent_units=4, stochastic_layers=2, likelihood="bernoulli")
    assert [network.projections[0].kernel.shape for network in model.n_z_d] == [(6, 8), (8, 4)]
    assert np.isfinite(model.elbo(x)).all()
