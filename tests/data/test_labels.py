import dataclasses

import numpy as np
import pytest

from tfadgm.data.dataset import UNLABELED, Dataset
from tfadgm.data.labels import choose_labels
from tfadgm.errors import InputError

Y = np.array([0, 1, 2] * 10 + [UNLABELED] * 7)
X = np.zeros([len(Y), 2])
DATA = Dataset(X, Y, X[:0], Y[:0], ("a", "b", "c"), "gaussian")


def of(y: np.ndarray) -> Dataset:
    return dataclasses.replace(DATA, x=np.zeros([len(y), 2]), y=y)


@pytest.mark.parametrize("labels", [3, 6, 8, 10, 30])
def test_labels_are_spread_evenly(labels):
    chosen = choose_labels(DATA, labels, seed=0)
    counts = np.bincount(chosen.y[chosen.label_indices], minlength=3)
    assert counts.sum() == labels
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize(("labels", "expected"), [(3, [1, 1, 1]), (10, [7, 2, 1]), (100, [80, 15, 5]), (4, [2, 1, 1])])
def test_labels_in_proportion(labels, expected):
    """One of each class, and the rest by the share of a class, the largest remainders first."""
    chosen = choose_labels(of(np.repeat([0, 1, 2], [80, 15, 5])), labels, seed=0, proportional=True)
    assert np.bincount(chosen.y[chosen.label_indices]).tolist() == expected


def test_labels_that_were_not_chosen_are_gone():
    chosen = choose_labels(DATA, 6, seed=0)
    seen = chosen.y != UNLABELED
    assert seen.sum() == 6
    np.testing.assert_array_equal(chosen.y[seen], Y[seen])


def test_the_seed_decides():
    first, again, other = (choose_labels(DATA, 6, seed).y for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()


def test_the_choice_is_that_of_version_0_1():
    """Label seeds of published results name the same labels for ever."""
    assert choose_labels(DATA, 7, seed=3).label_indices.tolist() == CHOSEN


CHOSEN = [2, 3, 6, 11, 22, 25, 26]


def test_all_known_labels_by_default():
    assert choose_labels(DATA, None, seed=0) is DATA
    assert DATA.label_indices.tolist() == list(range(30))


def test_all_labels_may_be_asked_for_by_their_number():
    y = np.array([0] * 9 + [1] * 2 + [2] * 9)
    np.testing.assert_array_equal(choose_labels(of(y), 20, seed=0).y, y)


def test_a_class_with_few_labels_gives_all_and_the_others_the_rest():
    y = np.array([0] * 9 + [1] * 2 + [2] * 9)
    chosen = choose_labels(of(y), 13, seed=0)
    assert sorted(np.bincount(chosen.y[chosen.label_indices]).tolist()) == [2, 5, 6]


@pytest.mark.parametrize(
    ("y", "labels", "message"),
    [
        (Y, 2, "Expected at least one label for each of the 3 classes. Received: 2"),
        (Y, 31, "Expected at most 30 labels, as many as are known. Received: 31"),
        (np.array([0, 1, 0, 1]), 3, "Expected at least one label of class 'c'"),
    ],
)
def test_what_cannot_be_chosen_is_named(y, labels, message):
    with pytest.raises(InputError, match=message):
        choose_labels(of(y), labels, seed=0)
