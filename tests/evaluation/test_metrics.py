import numpy as np
import pytest

from tfadgm.evaluation.metrics import (
    balanced_error,
    by_class,
    classification_report,
    confusion_matrix,
    expected_calibration_error,
)

P = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]])
Y = np.array([0, 1, 1, 1])


def test_scores_by_hand():
    scores = classification_report(P, Y)
    assert scores["error"] == 25.0
    assert scores["nll"] == pytest.approx(-np.log([0.9, 0.4, 0.8, 0.7]).mean())
    assert scores["ece"] == pytest.approx((0.1 + 0.6 + 0.2 + 0.3) / 4)  # each point in a bin of its own


def test_points_of_one_bin_are_averaged_before_they_are_compared():
    probabilities = np.tile([[0.75, 0.25]], [4, 1])
    assert expected_calibration_error(probabilities, np.array([0, 0, 0, 1])) == pytest.approx(0.0)


def test_certain_and_wrong_is_finite():
    scores = classification_report(np.array([[1.0, 0.0]]), np.array([1]))
    assert np.isfinite(scores["nll"])
    assert scores["ece"] == 1.0


def test_no_points_give_no_scores():
    assert set(classification_report(np.zeros([0, 3]), np.zeros(0, int)).values()) == {None}


def test_confusion_counts_true_by_predicted():
    assert confusion_matrix(P, Y).tolist() == [[1, 0], [1, 2]]


def test_scores_by_class():
    """Class 1 of three is rare and missed; class 2 has no point."""
    probabilities = np.eye(3)[[0, 0, 0, 1, 0, 0]]
    y = np.array([0, 0, 0, 0, 0, 1])
    assert balanced_error(probabilities, y) == 60.0  # 20 % and 100 %
    assert by_class(probabilities, y) == [
        {"points": 5, "recall": 80.0, "precision": 80.0},
        {"points": 1, "recall": 0.0, "precision": 0.0},
        {"points": 0, "recall": None, "precision": None},
    ]
    assert balanced_error(probabilities[:0], y[:0]) is None
