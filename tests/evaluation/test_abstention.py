"""Which answers to accept."""

import numpy as np
import pytest

from tests.support.toys import stripes
from tfadgm.config import Config
from tfadgm.errors import InputError
from tfadgm.evaluation.abstention import NONE, accepted, in_words, risk_coverage, threshold_of_error
from tfadgm.evaluation.classification import unlabeled_probabilities

ANSWERS = {
    "probability": [0.9, 0.9, 0.8, 0.7, 0.6],
    "wrong": [False, True, False, False, True],
    "weight": [1.0, 1.0, 2.0, 4.0, 2.0],
}
POINTS = np.linspace(0, 0.99, 100)


def config(**choices) -> Config:
    return Config.for_dataset("mine.npz", **choices)


def test_the_curve_is_that_of_every_threshold_tried_alone():
    probability, wrong, weight = map(np.array, ANSWERS.values())
    curve = risk_coverage(probability, wrong, weight)
    assert curve[:, 0].tolist() == [0.9, 0.8, 0.7, 0.6]
    for threshold, coverage, error in curve:
        reached = probability >= threshold
        assert coverage == pytest.approx(weight[reached].sum() / 10)
        assert error == pytest.approx(np.average(wrong[reached], weights=weight[reached]))


@pytest.mark.parametrize(("most", "threshold"), [(0.5, 0.6), (0.2, 0.7), (0.1, NONE), (0.0, NONE)])
def test_as_many_answers_are_accepted_as_a_share_of_errors_allows(most, threshold):
    curve = risk_coverage(*map(np.array, ANSWERS.values()))
    assert threshold_of_error(curve, most) == threshold


def test_what_is_accepted_is_told_with_its_error_and_where_labels_are_too_few():
    told = accepted(config(accept_error=0.2), {"answers": ANSWERS}, POINTS)
    assert told["threshold"] == 0.7
    assert told["coverage"] == 0.3
    assert told["labels"] == 4
    assert told["error"] == 12.5
    assert told["low"] < 12.5 < told["high"]
    words = in_words(told).splitlines()
    assert words[0].startswith("Accepted: 30% of the points without a label, those of a probability of 0.70 or more: ")
    assert words[1] == "4 labels are too few to show that it is at most 20 %."
    many = {name: values * 200 for name, values in ANSWERS.items()}
    assert "too few" not in in_words(accepted(config(accept_error=0.2), {"answers": many}, POINTS))


def test_nothing_is_accepted_where_every_group_has_too_many_errors():
    told = accepted(config(accept_error=0.0), {"answers": ANSWERS}, POINTS)
    assert (told["coverage"], told["labels"], told["error"]) == (0, 0, None)
    assert in_words(told).startswith("Accepted: no answer.")


def test_without_an_estimate_a_user_is_told_that_there_is_no_threshold():
    told = accepted(config(accept_error=0.1), {"left_out": "Expected two labels."}, POINTS)
    assert in_words(told) == "No threshold of answers to accept. Expected two labels."


def test_a_share_of_the_points_may_be_asked_for():
    told = accepted(config(coverage=0.25), {"answers": ANSWERS}, POINTS)
    assert told["coverage"] == pytest.approx(0.25, abs=0.011)
    assert "too few" not in in_words(told)
    assert accepted(config(), {"answers": ANSWERS}, POINTS) is None


def test_a_threshold_needs_an_estimate_and_one_reason():
    with pytest.raises(InputError, match="Expected an estimate of errors with accept_error"):
        config(accept_error=0.1, estimate=False)
    with pytest.raises(InputError, match="Expected accept_error or coverage. Received both"):
        config(accept_error=0.1, coverage=0.5)


def test_where_every_point_has_a_label_all_are_asked():
    class Sure:
        classes = 2

        def predict_on_batch(self, x):
            return np.tile([0.25, 0.75], (len(x), 1))

    data = stripes()
    assert unlabeled_probabilities(Sure(), data, 1.0).tolist() == [0.75] * 40
    assert len(unlabeled_probabilities(Sure(), data.replace(y=np.maximum(data.y, 0)), 1.0)) == 60
