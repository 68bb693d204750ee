import numpy as np
import pytest

from tfadgm.data.sources import UNKNOWN
from tfadgm.data.split import choose_labels
from tfadgm.errors import InputError

Y = np.array([0, 1, 2] * 10 + [UNKNOWN] * 7)
NAMES = ("a", "b", "c")


@pytest.mark.parametrize("labels", [3, 6, 8, 10, 30])
def test_labels_are_spread_evenly(labels):
    chosen = choose_labels(Y, NAMES, labels, seed=0)
    counts = np.bincount(Y[chosen], minlength=3)
    assert counts.sum() == labels
    assert counts.max() - counts.min() <= 1
    assert len(set(chosen.tolist())) == labels


def test_the_seed_decides():
    first, again, other = (choose_labels(Y, NAMES, 6, seed) for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()


def test_all_known_labels_by_default():
    assert choose_labels(Y, NAMES, None, seed=0).tolist() == list(range(30))


def test_fewer_labels_than_classes():
    with pytest.raises(InputError, match="Expected at least one label for each of the 3 classes. Received: 2"):
        choose_labels(Y, NAMES, 2, seed=0)


def test_a_class_with_too_few_labels():
    y = np.array([0] * 9 + [1] * 2 + [2] * 9)
    with pytest.raises(InputError, match="Expected at least 4 labels of class 'b' .* Received: 2"):
        choose_labels(y, NAMES, 12, seed=0)
