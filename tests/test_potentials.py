"""Distributions in the plane: their normalisers, and the bounds of what is fitted to them."""

import json
from collections.abc import Iterable, Iterator

import keras
import numpy as np
import pytest
import scipy.optimize
import tensorflow as tf

from tfadgm.potentials import ENERGIES, GRID, SIDES, STEPS, Fit, fits, grid, in_modes, log_normaliser, mode_shares
from tfadgm.reproduce import common, fig1a

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
    one, other = mode_shares("U1")
    assert one == pytest.approx(other, abs=1e-3)
    assert 0.9 < one + other < 1


def test_points_between_the_modes_are_in_none():
    for name in SIDES:
        density = np.exp(-ENERGIES[name](points := tf.random.stateless_uniform([20_000, 2], (0, 0), -4, 4)).numpy())
        either = in_modes(name, points)
        assert either.any(1).all()
        assert density[either.any(0)].min() > 0.1 * density.max()
    assert not in_modes("U4", tf.constant([[-3.0, 1.0]])).any()  # where the two waves are one
    assert in_modes("U1", tf.constant([[2.0, 0.0], [-2.0, 0.0], [0.0, 0.0]])).tolist() == [
        [True, False, False],
        [False, True, False],
    ]


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


def gap(model: Fit) -> float:
    """How far the bound is below log Z of U1, which it is within its noise."""
    bounds = model.bounds((1, 0), 100_000).numpy()
    found = log_normaliser(ENERGIES["U1"]) - bounds.mean()
    assert found > -3 * bounds.std() / 100_000**0.5
    return found


@pytest.mark.slow
def test_one_gaussian_on_one_mode_of_u1_is_the_best_there_is():
    assert gap(next(fits("U1", 0, [0], 3000))) == pytest.approx(best_gaussian_gap(), abs=0.02)


@pytest.mark.slow
def test_an_auxiliary_variable_finds_both_modes_of_u1():
    """By one seed; one Gaussian, on one mode, is 0.9 nats below log Z."""
    model = next(fits("U1", 4, [0], STEPS))
    assert gap(model) < 0.1
    shares = in_modes("U1", model.draw((1, 1), 10_000)[1]).mean(1)
    np.testing.assert_allclose(shares, mode_shares("U1"), atol=0.1)


def best_gaussian_gap() -> float:
    """By a sum over a grid, for the best diagonal Gaussian on the right mode of U1."""
    points, area = grid().numpy()[::4, ::4].astype(np.float64), (4 * (GRID[1] - GRID[0])) ** 2
    energy = ENERGIES["U1"](points).numpy()

    def negative_bound(parameters):
        mean, log_deviation = np.split(parameters, 2)
        log_q = (-0.5 * ((points - mean) / np.exp(log_deviation)) ** 2 - log_deviation - np.log(2 * np.pi) / 2).sum(-1)
        return (np.exp(log_q) * (energy + log_q)).sum() * area

    found = scipy.optimize.minimize(negative_bound, [2.0, 0.0, -1.0, 0.0], method="Nelder-Mead")
    return log_normaliser(ENERGIES["U1"]) + found.fun


def untrained(name: str, units: int, seeds: Iterable[int], steps: int) -> Iterator[Fit]:
    for seed in seeds:
        keras.utils.set_random_seed(seed)
        yield Fit(ENERGIES[name], auxiliary_units=units)


@pytest.mark.slow
def test_the_figure_comes_with_its_numbers_and_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(fig1a, "ENERGIES", {name: ENERGIES[name] for name in ("U1", "U2")})
    monkeypatch.setattr(fig1a, "fits", untrained)
    monkeypatch.setattr(common, "DOTS_AN_INCH", 20)
    monkeypatch.setattr(fig1a, "KEPT", 200)
    result = fig1a.reproduce(tmp_path / "out", seeds=1, steps=100)
    assert json.loads((tmp_path / "out" / "fig1a.json").read_text()) == result
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"fig1a.json", "fig1a.png", "fig1a.pdf", "fig1a"}
    assert set(result["energies"]) == {"U1", "U2"}
    assert "share_of_runs_that_find_both" not in result["energies"]["U2"]["auxiliary"]  # one wave

    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "fig1a").iterdir()}
    lost = tmp_path / "out" / "fig1a" / "U1-auxiliary-0-100.json"
    text = lost.read_text()
    lost.unlink()
    monkeypatch.setattr(common.plt, "savefig", lambda path, **_: path.touch())  # drawn often enough
    assert fig1a.reproduce(tmp_path / "out", seeds=1, steps=100) == result
    assert lost.read_text() == text
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items() if path != lost)


def test_the_lower_branch_of_u4_is_whole():
    """Only z_1 has a wall: at z_1 = 3 the branch is that of 0.35 around -4."""
    below = -ENERGIES["U4"](tf.constant([[3.0, -4.0], [3.0, -4.35], [3.0, -3.65]])).numpy()
    np.testing.assert_allclose(below - below[0], [0, -0.5, -0.5], atol=0.02)


@pytest.mark.slow
def test_a_fit_is_the_same_after_others():
    first, again = ([weight.numpy() for weight in model.weights] for model in fits("U1", 2, [3, 3], steps=100))
    other = [weight.numpy() for weight in next(fits("U1", 2, [4], steps=100)).weights]
    for one, same, different in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(one, same)
        assert np.abs(one - different).max() > 0
