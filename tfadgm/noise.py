"""The noise of one pass through a model: drawn by a seed in training, constant in prediction."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf


class Noise(NamedTuple):
    """Standard normal noise of a [S, B or 1, A] and of z [S, B or 1, Z], and a seed for drawn classes, int32 [2]."""

    a: tf.Tensor
    z: tf.Tensor
    seed: tf.Tensor


def drawn_noise(seed: Any, samples: int, rows: Any, units: tuple[int, int]) -> Noise:
    """The noise of `rows` examples by `seed`, int32 [2]; `units` are A and Z."""
    seeds = tf.random.split(tf.cast(seed, tf.int32), 3)
    a = tf.random.stateless_normal([samples, rows, units[0]], seeds[0])
    z = tf.random.stateless_normal([samples, rows, units[1]], seeds[1])
    return Noise(a, z, seeds[2])


def fixed_noise(samples: int, units: tuple[int, int]) -> Noise:
    """Antithetic noise that all rows share. It is constant, because TensorFlow draws other numbers inside XLA."""
    random = np.random.default_rng(0)
    a, z = (random.standard_normal([(samples + 1) // 2, 1, width], np.float32) for width in units)
    a, z = (tf.constant(np.concatenate([half, -half])[:samples]) for half in (a, z))
    return Noise(a, z, tf.constant([0, 0]))
