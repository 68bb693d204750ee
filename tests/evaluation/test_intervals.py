"""Intervals of an error, and pairs of methods, against closed forms and draws."""

import numpy as np
import pytest
from scipy.stats import binom

from tfadgm.evaluation.intervals import difference, error_interval, true_shares, weights_of_classes


@pytest.mark.parametrize(("missed", "points"), [(0, 12), (3, 50), (12, 12), (25, 50)])
def test_at_the_ends_of_an_interval_what_was_seen_is_just_possible(missed, points):
    """So few mistakes have 2.5 % at its upper end, and so many have 2.5 % at its lower one."""
    share, low, high = error_interval(np.arange(points) < missed)
    assert share == missed / points
    if missed:
        assert binom.sf(missed - 1, points, low) == pytest.approx(0.025)
    if missed < points:
        assert binom.cdf(missed, points, high) == pytest.approx(0.025)
    assert (low == 0) == (missed == 0)
    assert (high == 1) == (missed == points)


@pytest.mark.parametrize("error", [0.02, 0.1, 0.4])
def test_intervals_hold_the_error_of_classes_of_unequal_size(error):
    """Labels are drawn evenly, 5 of each of four classes, one of which has 0.7 of all points and errs least."""
    random, shares = np.random.default_rng(0), np.array([0.7, 0.1, 0.1, 0.1])
    y, errors = np.repeat(np.arange(4), 5), error * np.array([0.5, 1.5, 1.5, 1.5])
    weights, true = weights_of_classes(y, shares), float(shares @ errors)
    found = [error_interval(random.random(20) < errors[y], weights) for _ in range(1000)]
    assert np.mean([share for share, _, _ in found]) == pytest.approx(true, abs=0.01)
    assert np.mean([low <= true <= high for _, low, high in found]) >= 0.9


def test_labels_weigh_what_they_stand_for():
    weights = weights_of_classes(np.array([0, 0, 0, 1, 2, 2]), np.array([0.5, 0.3, 0.2]))
    assert weights.mean() == pytest.approx(1)
    for index, share in enumerate((0.5, 0.3, 0.2)):
        assert weights[np.array([0, 0, 0, 1, 2, 2]) == index].sum() / 6 == pytest.approx(share)


def test_true_shares_are_found_through_confusions():
    """A thousand points of classes of which one is often taken for another, and fifty labels that tell how often."""
    random, shares = np.random.default_rng(0), np.array([0.6, 0.3, 0.1])
    taken_for = np.array([[0.7, 0.3, 0.0], [0.1, 0.8, 0.1], [0.0, 0.2, 0.8]])
    confusion = np.stack([random.multinomial(50, row) for row in taken_for])
    found = random.multinomial(1000, shares @ taken_for) / 1000
    np.testing.assert_allclose(true_shares(confusion, found), shares, atol=0.06)
    assert abs(found - shares).max() > 0.1
    np.testing.assert_allclose(true_shares(np.eye(3) * 5, shares), shares, atol=0.02)


def test_methods_that_err_alike_cannot_be_told_apart():
    wrong = np.arange(20) < 5
    assert difference(wrong, wrong) == 1
    assert difference(wrong, np.roll(wrong, 5)) == 1
    assert difference(np.zeros(20, bool), wrong) == 2 * 0.5**5
