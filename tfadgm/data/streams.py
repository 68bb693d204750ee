"""The labeled and the unlabeled stream, as a pure function of the step.

Row k of a stream is row k mod N of the permutation that belongs to pass k // N, so that training can start at any
step and meets exactly the batches that an uninterrupted run meets there.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfadgm.data.dataset import UNLABELED


def batch_indices(step: tf.Tensor, points: int | tf.Tensor, batch: int, seed: int, stream: int) -> tf.Tensor:
    """Indices [batch] int64 of `points` rows at `step`; every pass is a new permutation of all rows.

    A `batch` of more rows than there are goes on in the next passes, where `points` is no tensor.
    """
    position = step * batch + tf.range(batch, dtype=tf.int64)
    passes, row = position // points, position % points
    met = 2 if isinstance(points, tf.Tensor) else -(-batch // points) + 1  # passes, at most
    seeds = tf.stack([_pass_seed(passes[0] + late, seed, stream) for late in range(met)])
    # The raw op, because the public wrapper pads a seed for each row along the wrong axis.
    return tf.raw_ops.RandomIndexShuffle(
        index=row, seed=tf.gather(seeds, passes - passes[0]), max_index=tf.cast(points - 1, tf.int64)
    )


def _pass_seed(number: tf.Tensor, seed: int, stream: int) -> tf.Tensor:
    """A hashed seed [3] for each pass: the shuffle gives related orders to seeds that differ by counting."""
    counter = tf.random.fold_in(tf.constant([seed, stream]), tf.cast(number, tf.int32))
    return tf.random.stateless_uniform([3], counter, None, None, tf.int64)


def steps_per_epoch(points: int, unlabeled_batch: int) -> int:
    """Steps of one pass over the unlabeled points; what does not fill a batch comes in the next pass."""
    return max(1, points // unlabeled_batch)


def mixed_stream(
    x: np.ndarray,
    y: np.ndarray,
    *,
    classes: int | None = None,
    labeled_batch: int,
    unlabeled_batch: int,
    seed: int,
    first_step: int = 0,
) -> tf.data.Dataset:
    """An endless stream of `{"labeled": (x, y), "unlabeled": x}` from step `first_step` on.

    Without labels, "labeled" is left out.

    Args:
        x: [N, *features], all of which are unlabeled points.
        y: [N] int64, UNLABELED where there is no label.
        classes: how many there are, if labels are to be checked.
        labeled_batch: rows a step, of fewer labels some more than once.
        unlabeled_batch: rows a step, at most as many as there are.
        seed: the order of both streams.
        first_step: the global step of the first batch.

    Examples:
        >>> y = np.repeat([0, 1, -1], 3)
        >>> stream = mixed_stream(np.zeros([9, 2]), y, labeled_batch=4, unlabeled_batch=5, seed=0)
        >>> batch = next(iter(stream))
        >>> batch["labeled"][1].shape, batch["unlabeled"].shape
        (TensorShape([4]), TensorShape([5, 2]))
    """
    label_indices = np.flatnonzero(y != UNLABELED)
    if classes is not None and len(label_indices) and not 0 <= y[label_indices].min() <= y.max() < classes:
        raise ValueError(f"Expected labels from 0 to {classes - 1}, or {UNLABELED}. Received: {y.min()} to {y.max()}")
    points, labels = len(x), len(label_indices)
    unlabeled_batch = min(unlabeled_batch, points)
    x_labeled, y_labeled = x[label_indices], y[label_indices]

    def batch(step: tf.Tensor) -> dict:
        unlabeled = batch_indices(step, points, unlabeled_batch, seed, stream=1)
        found: dict = {"unlabeled": _rows(x, unlabeled, unlabeled_batch)}
        if labels:
            labeled = batch_indices(step, labels, labeled_batch, seed, stream=0)
            found["labeled"] = _rows(x_labeled, labeled, labeled_batch), _rows(y_labeled, labeled, labeled_batch)
        return found

    steps = tf.data.Dataset.range(first_step, np.iinfo(np.int64).max)
    return steps.map(batch).prefetch(2)


def _rows(array: np.ndarray, index: tf.Tensor, count: int) -> tf.Tensor:
    """The rows `index` [count] of an array that stays where it is: a tensor of it would be another copy, or two."""
    rows = tf.numpy_function(array.__getitem__, [index], tf.as_dtype(array.dtype), stateful=False)
    return tf.ensure_shape(rows, [count, *array.shape[1:]])
