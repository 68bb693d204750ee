"""The maps of a flow."""

import numpy as np
import pytest
import tensorflow as tf

from tfadgm.models import NFVAE
from tfadgm.models.nf_vae import Planar


def test_the_determinant_of_a_planar_map_by_differentiation():
    generator = np.random.default_rng(0)
    w, u, z = (tf.constant(generator.normal(size=[50, 3]) * scale, tf.float32) for scale in (1.0, 3.0, 1.0))
    planar = Planar(w, u, tf.constant(generator.normal(size=50), tf.float32))
    with tf.GradientTape() as tape:
        tape.watch(z)
        moved = planar.forward(z)
    expected = np.linalg.slogdet(tape.batch_jacobian(moved, z).numpy())
    assert (expected.sign > 0).all()  # every map can be inverted
    found = planar.forward_log_det_jacobian(z, event_ndims=1)
    np.testing.assert_allclose(found, expected.logabsdet, rtol=1e-3, atol=1e-4)


def test_a_map_that_contracts_has_a_determinant():
    """Its logarithm is finite, with its gradient, however far w.u falls: a training met w.u = -80 (found as NaN)."""
    w, u, z = tf.constant([[3.0, 0.0]]), tf.constant([[-50.0, 0.0]]), tf.zeros([1, 2])
    with tf.GradientTape() as tape:
        tape.watch([w, u, z])
        determinant = Planar(w, u, tf.zeros(1)).forward_log_det_jacobian(z, event_ndims=1)
    np.testing.assert_allclose(determinant, np.log([0.01]), rtol=1e-5)
    assert all(np.isfinite(gradient).all() for gradient in tape.gradient(determinant, [w, u, z]))


def test_a_flow_has_one_layer():
    with pytest.raises(ValueError, match="Expected one stochastic layer with a flow. Received: 2"):
        NFVAE((2, 3), stochastic_layers=2)
