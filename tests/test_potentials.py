"""Distributions in the plane: their normalisers, and the bounds of what is fitted to them."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tfadgm.potentials import ENERGIES, SIDES, Fit, fitted, log_normaliser, side_share
from tfadgm.reproduce import fig1a

W3 = 3 / (1 + np.exp(-(0.5 - 1) / 0.3))
W2 = 3 * np.exp(-(((0.5 - 1) / 0.6) ** 2) / 2)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("U1", ((np.hypot(0.5, 1) - 2) / 0.4) ** 2 / 2
         - np.log(np.exp(-(((0.5 - 2) / 0.6) ** 2) / 2) + np.exp(-(((0.5 + 2) / 0.6) ** 2) / 2))),
        ("U2", ((1 - np.sin(np.pi / 4)) / 0.4) ** 2 / 2),
        ("U3", -np.log(np.exp(-(((1 - np.sin(np.pi / 4)) / 0.35) ** 2) / 2)
                       + np.exp(-(((1 - np.sin(np.pi / 4) + W2) / 0.35) ** 2) / 2))),
        ("U4", -np.log(np.exp(-(((1 - np.sin(np.pi / 4)) / 0.4) ** 2) / 2)
                       + np.exp(-(((1 - np.sin(np.pi / 4) + W3) / 0.35) ** 2) / 2))),
    ],
)  # fmt: skip
def test_energies_at_a_point(name, expected):
    assert float(ENERGIES[name](tf.constant([0.5, 1.0]))) == pytest.approx(expected, rel=1e-4)


def test_the_normaliser_of_u1_in_polar_coordinates():
    radius, angle = np.meshgrid(np.linspace(0, 6, 1201), np.linspace(0, 2 * np.pi, 721)[:-1])
    z = tf.constant(np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1), tf.float32)
    total = (radius * np.exp(-ENERGIES["U1"](z).numpy())).sum() * (6 / 1200) * (2 * np.pi / 720)
    assert log_normaliser(ENERGIES["U1"]) == pytest.approx(np.log(total), abs=1e-3)


def test_the_modes_of_u1_are_alike():
    assert side_share("U1") == pytest.approx(0.5, abs=1e-3)


def standard(z: tf.Tensor) -> tf.Tensor:
    """The energy of a standard normal: Z = 2 pi."""
    return 0.5 * tf.reduce_sum(tf.square(z), -1)


@pytest.mark.parametrize("units", [0, 3])
def test_bounds_are_below_the_normaliser(units):
    """By importance weights: log mean exp(term) is log Z for any q, and the mean of the terms is below."""
    model = Fit(standard, auxiliary_units=units)
    if units:
        model.q_z_a.layers[-1].bias.assign([0.0, 0.0, 1.0, 1.0])
        model.q_z_a.layers[-1].kernel.assign(0.05 * model.q_z_a.layers[-1].kernel)
    terms = model.bounds((0, 1), 100_000).numpy().astype(np.float64)
    error = np.exp(terms - terms.max()).std() / np.exp(terms - terms.max()).mean() / len(terms) ** 0.5
    assert np.log(np.exp(terms).mean()) == pytest.approx(np.log(2 * np.pi), abs=5 * error + 1e-3)
    assert terms.mean() < np.log(2 * np.pi)


def test_an_auxiliary_variable_finds_both_modes_of_u1():
    """The bound is below log Z and within 0.1 nats; one Gaussian is far from it."""
    log_z, gaps = log_normaliser(ENERGIES["U1"]), []
    for units in (4, 0):
        model = fitted("U1", units, seed=0)
        bounds = model.bounds((1, 0), 100_000).numpy()
        gaps.append(log_z - bounds.mean())
        assert gaps[-1] > -3 * bounds.std() / 100_000**0.5
        if units:
            share = np.mean(SIDES["U1"](model.draw((1, 1), 10_000)[1]).numpy() > 0)
            assert share == pytest.approx(0.5, abs=0.1)
    assert gaps[0] < 0.1
    assert gaps[1] > 0.5


def test_the_figure_comes_with_its_numbers(tmp_path):
    result = fig1a.reproduce(tmp_path / "out", seeds=1, steps=100)
    assert json.loads((tmp_path / "out" / "fig1a.json").read_text()) == result
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"fig1a.json", "fig1a.png", "fig1a.pdf"}
    assert set(result["energies"]) == {"U1", "U2", "U3", "U4"}
