"""Distributions exp(-U(z)) / Z in the plane (Rezende and Mohamed 2015, table 1), and Gaussians fitted to them.

A fit maximises a bound of log Z = log of the integral of exp(-U): without an auxiliary variable E_q[-U(z) - log q(z)],
with one (Maaløe et al. 2016, section 2.1) E_q[-U(z) + log p(a|z) - log q(z|a) - log q(a)].
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfadgm.inference.elbo import reparameterize, standard_normal
from tfadgm.inference.sampling import GENERATOR
from tfadgm.nn.conditionals import Gaussian

STEPS = 10_000  # of a fit
SPREAD, START = 6.0, -3.0  # at first, q(z|a) is narrow around means that a throws far apart
MEANS = 2.0  # deviation of the mean at which one Gaussian starts; at 0, U1 would keep it by symmetry
BOX = 4.0  # U2 to U4 do not decay along z_1; beyond this a wall rises
WALL = 10.0
GRID = np.linspace(-6, 6, 1201)

Energy = Callable[[tf.Tensor], tf.Tensor]


def _bump(x: tf.Tensor, width: float) -> tf.Tensor:
    """log exp(-(x / width)^2 / 2)."""
    return -0.5 * tf.square(x / width)


def _w1(z: tf.Tensor) -> tf.Tensor:
    return tf.sin(2 * np.pi * z[..., 0] / 4)


def _w2(z: tf.Tensor) -> tf.Tensor:
    return 3 * tf.exp(_bump(z[..., 0] - 1, 0.6))


def _w3(z: tf.Tensor) -> tf.Tensor:
    return 3 * tf.sigmoid((z[..., 0] - 1) / 0.3)


def _wall(z: tf.Tensor) -> tf.Tensor:
    return WALL * tf.square(tf.nn.relu(tf.abs(z[..., 0]) - BOX))


def u1(z: tf.Tensor) -> tf.Tensor:
    """A ring with two modes; z [..., 2]."""
    ring = -_bump(tf.norm(z, axis=-1) - 2, 0.4)
    return ring - tf.reduce_logsumexp([_bump(z[..., 0] - 2, 0.6), _bump(z[..., 0] + 2, 0.6)], 0)


def u2(z: tf.Tensor) -> tf.Tensor:
    """A wave; z [..., 2]."""
    return -_bump(z[..., 1] - _w1(z), 0.4) + _wall(z)


def u3(z: tf.Tensor) -> tf.Tensor:
    """A wave that divides and meets again; z [..., 2]."""
    across = z[..., 1] - _w1(z)
    return -tf.reduce_logsumexp([_bump(across, 0.35), _bump(across + _w2(z), 0.35)], 0) + _wall(z)


def u4(z: tf.Tensor) -> tf.Tensor:
    """A wave that divides; z [..., 2]."""
    across = z[..., 1] - _w1(z)
    return -tf.reduce_logsumexp([_bump(across, 0.4), _bump(across + _w3(z), 0.35)], 0) + _wall(z)


ENERGIES: dict[str, Energy] = {"U1": u1, "U2": u2, "U3": u3, "U4": u4}
# Above 0 on the side of one mode, below on that of the other, 0 where the two are one; U2 is one wave.
SIDES: dict[str, Energy] = {
    "U1": lambda z: z[..., 0],
    "U3": lambda z: tf.where(_w2(z) > APART, z[..., 1] - _w1(z) + 0.5 * _w2(z), 0.0),
    "U4": lambda z: tf.where(_w3(z) > APART, z[..., 1] - _w1(z) + 0.5 * _w3(z), 0.0),
}
APART = 1.0  # distance from which two waves are two modes
SPARSE = 0.1  # of the highest density; what has less lies between the modes


def grid() -> tf.Tensor:
    """Points of the plane, [1201, 1201, 2], z_1 along the second axis."""
    return tf.constant(np.stack(np.meshgrid(GRID, GRID), -1), tf.float32)


def log_normaliser(energy: Energy) -> float:
    """log Z by the sum over a grid of step 0.01, exact to 1e-4 for these energies."""
    log_p = -energy(grid()).numpy().astype(np.float64)
    return float(np.logaddexp.reduce(log_p, axis=None) + 2 * np.log(GRID[1] - GRID[0]))


def in_modes(name: str, z: tf.Tensor) -> np.ndarray:
    """Whether points z [..., 2] lie in either mode: on its side, and where the density is not SPARSE; bool [2, ...]."""
    dense = -ENERGIES[name](z).numpy() > np.log(SPARSE) - _lowest(name)
    side = SIDES[name](z).numpy()
    return np.stack([dense & (side > 0), dense & (side < 0)])


def mode_shares(name: str) -> np.ndarray:
    """The exact probability of either mode, [2]."""
    points = grid()
    p = np.exp(-ENERGIES[name](points).numpy().astype(np.float64))
    return np.array([p[mode].sum() for mode in in_modes(name, points)]) / p.sum()


@functools.cache
def _lowest(name: str) -> float:
    return float(tf.reduce_min(ENERGIES[name](grid())))


class Fit(keras.Model):
    """A diagonal Gaussian q(z), or with `auxiliary_units` one that depends on a ~ N(0, I), fitted to an energy.

    `fit` it on any batches: they are not looked at, every step draws `samples` points of q.
    """

    def __init__(
        self,
        energy: Energy,
        *,
        auxiliary_units: int = 0,
        hidden_units: tuple[int, ...] = (64, 64),
        samples: int = 500,
        warm_up: int = 0,
    ) -> None:
        super().__init__()
        self.energy, self.auxiliary_units = energy, auxiliary_units
        self.samples, self.warm_up, self.hidden_units = samples, warm_up, hidden_units
        self.seed = tf.Variable(0, trainable=False)
        hidden = hidden_units if auxiliary_units else ()
        self.q_z_a = Gaussian(2, input_units=[max(1, auxiliary_units)], hidden_units=hidden, batch_norm=False)
        self.q_z_a.build()
        if auxiliary_units:
            kernel, bias = self.q_z_a.layers[-1].weights
            kernel.assign(kernel * [SPREAD, SPREAD, 1, 1])
            bias.assign([0, 0, START, START])
            self.p_a_z = Gaussian(auxiliary_units, input_units=[2], hidden_units=hidden, batch_norm=False)
            self.p_a_z.build()
        else:
            self.q_z_a.projections[0].bias.assign(keras.random.normal([4]) * [MEANS, MEANS, 0, 0])
        self.built = True
        self.jit_compile = True

    def draw(self, seed: Any, samples: int) -> tuple[tf.Tensor, tf.Tensor]:
        """a [S, A] and z [S, 2] of q; without an auxiliary variable, a is one column of zeros."""
        seeds = tf.random.split(tf.cast(seed, tf.int32), 2)
        a = tf.zeros([samples, 1])
        if self.auxiliary_units:
            a = tf.random.stateless_normal([samples, self.auxiliary_units], seeds[0], alg=GENERATOR)
        noise = tf.random.stateless_normal([samples, 2], seeds[1], alg=GENERATOR)
        return a, reparameterize(self.q_z_a.distribution(a), noise)

    def bounds(self, seed: Any, samples: int, weight: tf.Tensor | float = 1.0) -> tf.Tensor:
        """Terms whose mean is below log Z, [S]; `weight` is that of the energy."""
        a, z = self.draw(seed, samples)
        entropy = -self.q_z_a.distribution(a).log_prob(z)
        if self.auxiliary_units:
            entropy += self.p_a_z.distribution(z).log_prob(a) - standard_normal(self.auxiliary_units).log_prob(a)
        return entropy - weight * self.energy(z)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        step = tf.cast(self.optimizer.iterations, tf.int32)
        weight = tf.minimum(1.0, 0.01 + tf.cast(step, tf.float32) / self.warm_up) if self.warm_up else 1.0
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(self.bounds(tf.stack([self.seed, step]), self.samples, weight))
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, [variable.value for variable in variables]), variables)
        self._loss_tracker.update_state(loss)
        return {"loss": self._loss_tracker.result()}

    def start(self, seed: int) -> None:
        """As newly made by `seed`: initial weights, an optimizer without a past."""
        keras.utils.set_random_seed(seed)
        new = Fit(self.energy, auxiliary_units=self.auxiliary_units, hidden_units=self.hidden_units)
        for own, weight in zip(self.weights, new.weights, strict=True):
            own.assign(weight)
        self.optimizer.build(self.trainable_variables)
        for variable in self.optimizer.variables:
            variable.assign(tf.zeros_like(variable))
        self.seed.assign(seed)


def fits(name: str, auxiliary_units: int, seeds: Iterable[int], steps: int = STEPS) -> Iterator[Fit]:
    """A fit of the energy `name` by every seed, after `steps` steps.

    With an auxiliary variable the first half of them raise the weight of the energy to 1. One Gaussian has that weight
    from the start: spread out by a smaller one, it would stay between modes, where its bound is lower than on either.

    They are one model, compiled once: look at each before the next.
    """
    model = Fit(ENERGIES[name], auxiliary_units=auxiliary_units, warm_up=steps // 2 if auxiliary_units else 0)
    schedule = keras.optimizers.schedules.CosineDecay(3e-3, steps)
    model.compile(optimizer=keras.optimizers.Adam(schedule), steps_per_execution=100)
    for seed in seeds:
        model.start(seed)
        model.fit(tf.data.Dataset.range(steps), verbose=0, shuffle=False)
        yield model
