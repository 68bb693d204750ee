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
    model = LVAE((2, 3), hidden_units=(16, 12), stochastic_layers=3)
    assert [network.projections[0].units for network in model.d] == [16, 8, 4]
    assert [network.output_units for network in model.d] == [12, 6, 3]
    assert [network.projections[0].units for network in model.p_z] == [8, 4]
