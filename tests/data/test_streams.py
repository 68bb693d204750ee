import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfadgm.data.dataset import UNLABELED
from tfadgm.data.streams import batch_indices, mixed_stream, steps_per_epoch

X = np.arange(23, dtype=np.float32)[:, None]
LABELED = np.array([3, 5, 8, 13, 21])
Y = np.where(np.isin(np.arange(23), LABELED), np.arange(23), UNLABELED)


def batches(count: int, **options) -> list:
    options = {"labeled_batch": 4, "unlabeled_batch": 6, "seed": 0, **options}
    return list(itertools.islice(mixed_stream(X, Y, **options), count))


def test_every_pass_is_a_new_permutation():
    rows = np.concatenate([batch["unlabeled"].numpy()[:, 0] for batch in batches(23)])  # six passes of 23 points
    passes = rows.reshape(6, 23)
    assert (np.sort(passes) == np.arange(23)).all()
    assert len({tuple(row) for row in passes}) == 6


def test_labels_belong_to_their_points_and_only_chosen_ones_are_seen():
    x, y = (tf.concat(parts, 0).numpy() for parts in zip(*(batch["labeled"] for batch in batches(10)), strict=True))
    assert (x[:, 0] == y).all()
    assert set(y.tolist()) == set(LABELED.tolist())
    assert np.bincount(y).max() == 8  # 40 rows, each of the five labels eight times


def test_starting_at_a_step_continues_the_stream():
    for late, early in zip(batches(5, first_step=7), batches(12)[7:], strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, late, early)


def test_the_seed_decides_the_order():
    first, other = batches(1)[0], batches(1, seed=1)[0]
    assert (first["unlabeled"].numpy() != other["unlabeled"].numpy()).any()


def test_batches_are_no_larger_than_the_data():
    assert batches(1, unlabeled_batch=100)[0]["unlabeled"].shape == (23, 1)


def test_a_batch_of_more_labels_than_there_are_takes_all_as_often():
    found = [batch["labeled"][1].numpy() for batch in batches(5, labeled_batch=12)]
    assert all((np.unique(rows, return_counts=True)[1] >= 2).all() for rows in found)
    labels, times = np.unique(np.concatenate(found), return_counts=True)
    assert (labels.tolist(), times.tolist()) == (LABELED.tolist(), [12] * 5)


def test_order_is_random_enough():
    """Over many passes every row is as likely as any other at the first place (chi-squared, 5 sigma)."""
    points, passes = 10, 1500
    steps = tf.range(passes, dtype=tf.int64)
    places = tf.map_fn(tf.function(lambda step: batch_indices(step, points, points, 0, 0)[0]), steps)
    counts = np.bincount(places, minlength=points)
    expected = passes / points
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert chi2 < (points - 1) + 5 * np.sqrt(2 * (points - 1))


def test_steps_per_epoch():
    assert steps_per_epoch(60_000, 100) == 600
    assert steps_per_epoch(7, 100) == 1


def test_labels_of_no_class_are_refused():
    """A one-hot label of no class is all zeros, which would train on nothing."""
    x, y = np.zeros([9, 2]), np.repeat([0, 1, -1], 3)
    options = {"labeled_batch": 4, "unlabeled_batch": 5, "seed": 0}
    mixed_stream(x, y, classes=2, **options)
    for wrong in (y + 1, np.where(y < 0, -2, y)):
        with pytest.raises(ValueError, match="Expected labels from 0 to 1, or -1. Received"):
            mixed_stream(x, wrong, classes=2, **options)
