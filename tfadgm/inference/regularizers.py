"""Terms that may be added to a classifier's objective, none of them the paper's.

A regularizer is an object with a `name`, a `weight` and

    active                                   whether it has any effect
    __call__(model, x, logits, sampler, seed) its value on a batch, scalar, without the weight
        model    the classifier
        x        scaled features [B, D]
        logits   of q(y|x), [S, B, C]
        sampler  that they were made with
        seed     int32 [2]

A new one is a class here or in a file of its own, and its name in `REGULARIZERS`. Its arguments are hyperparameters of
every classifier, named `<name>_<argument>`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any

import keras
import tensorflow as tf

from tfadgm.hyperparameters import AtLeast, Hyperparameter, arguments, declared
from tfadgm.inference.sampling import GENERATOR, Sampler

POWER_STEP = 0.1  # length of the trial perturbation, in scaled features
MARGINAL_MOMENTUM = 0.9  # of the running mean of q(y|x), per step


class Regularizer:
    """What regularizers share: whether they count, and how they are saved.

    Examples:
        >>> VAT(epsilon=0.5).get_config()
        {'epsilon': 0.5, 'weight': 1.0}
    """

    name: str
    weight: float

    @property
    def active(self) -> bool:
        """Whether it has any effect."""
        return self.weight > 0

    def __call__(self, model: Any, x: tf.Tensor, logits: tf.Tensor, sampler: Sampler, seed: tf.Tensor) -> tf.Tensor:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in arguments(type(self))}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Regularizer:
        return cls(**config)


@keras.saving.register_keras_serializable("tfadgm")
class DistributionAlignment(Regularizer):
    """Pulls the shares of the classes towards p(y): KL(mean_x q(y|x) || p(y)).

    Examples:
        >>> DistributionAlignment(weight=10.0, tolerance=0.2).active
        True
    """

    name = "distribution_alignment"

    def __init__(
        self,
        *,
        weight: Annotated[
            float, AtLeast(0), "weight that pulls the shares of the classes towards p(y); 0 leaves it out"
        ] = 0.0,
        tolerance: Annotated[
            float, AtLeast(0), "by how much a class may be larger or smaller than that at no cost; 0.2: by a fifth"
        ] = 0.0,
    ) -> None:
        self.weight, self.tolerance = weight, tolerance

    def __call__(self, model: Any, x: tf.Tensor, logits: tf.Tensor, sampler: Sampler, seed: tf.Tensor) -> tf.Tensor:
        if not model.prior_follows:
            model.follow_prior(logits)
        marginal = tf.stop_gradient(model.class_marginal.value)
        return prior_mismatch(logits, marginal, self.tolerance, model.prior_shares)


@keras.saving.register_keras_serializable("tfadgm")
class VAT(Regularizer):
    """Virtual adversarial training: q(y|x) should not move under the worst small change of x (Miyato et al. 2015).

    Examples:
        >>> VAT(epsilon=1.0).active
        True
    """

    name = "vat"

    def __init__(
        self,
        *,
        epsilon: Annotated[
            float,
            AtLeast(0),
            "radius of a virtual adversarial term on unlabeled examples, in scaled features; 0 leaves it out",
        ] = 0.0,
        weight: Annotated[float, AtLeast(0), "weight of that term, in nats"] = 1.0,
    ) -> None:
        self.epsilon, self.weight = epsilon, weight

    @property
    def active(self) -> bool:
        return self.epsilon > 0 and super().active

    def __call__(self, model: Any, x: tf.Tensor, logits: tf.Tensor, sampler: Sampler, seed: tf.Tensor) -> tf.Tensor:
        sampler, free = sampler.replace(bn_mode="batch"), getattr(model.scaling, "free", lambda x: None)(x)

        def classify(moved: tf.Tensor) -> tf.Tensor:
            return model.class_logits(moved if free is None else x + free * (moved - x), sampler)

        return tf.reduce_mean(virtual_adversarial(classify, x, logits, self.epsilon, seed))


REGULARIZERS: dict[str, type[Regularizer]] = {cls.name: cls for cls in (DistributionAlignment, VAT)}


def regularizer_hyperparameters() -> dict[str, Hyperparameter]:
    """The arguments of all regularizers, by `<name>_<argument>`."""
    found = [own.prefixed(name) for name, cls in REGULARIZERS.items() for own in declared(cls).values()]
    return {own.name: own for own in found}


def regularizers_of(options: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """The active regularizers that flat `options` ask for, and the other options."""
    rest, parts = dict(options), []
    for name, cls in REGULARIZERS.items():
        names = {argument: f"{name}_{argument}" for argument in declared(cls)}
        parts.append(cls(**{argument: rest.pop(flat) for argument, flat in names.items() if flat in rest}))
    return [part for part in parts if part.active], rest


def virtual_adversarial(
    classify: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor, logits: tf.Tensor, epsilon: float, seed: tf.Tensor
) -> tf.Tensor:
    """How far q(y|x) moves under the worst small change of x: KL(q(x) || q(x + r)), nats; [B].

    The change r has length `epsilon` in scaled features and is found by one power iteration from a random direction
    (Miyato et al. 2015, arXiv 1507.00677, algorithm 1).

    Args:
        classify: x [B, D] -> logits [S, B, C], with everything random in it fixed.
        x: scaled features [B, D].
        logits: classify(x), the target, which takes no gradient.
        epsilon: length of r.
        seed: int32 [2], of the random direction.
    """
    log_q = tf.stop_gradient(tf.nn.log_softmax(logits))

    def divergence(change: tf.Tensor) -> tf.Tensor:
        log_p = tf.nn.log_softmax(classify(x + change))
        return tf.reduce_mean(tf.reduce_sum(tf.exp(log_q) * (log_q - log_p), -1), 0)  # [B]

    start = tf.random.stateless_normal(tf.shape(x), seed, alg=GENERATOR)
    trial = POWER_STEP * tf.math.l2_normalize(start, -1)
    with tf.GradientTape() as tape:
        tape.watch(trial)
        moved = divergence(trial)
    direction = tf.stop_gradient(tape.gradient(moved, trial))
    return divergence(epsilon * tf.math.l2_normalize(direction, -1, epsilon=1e-24))


def prior_mismatch(
    logits: tf.Tensor, marginal: tf.Tensor, tolerance: float = 0.0, prior: tf.Tensor | None = None
) -> tf.Tensor:
    """Has the gradient of KL(mean_x q(y|x) || p(y)), nats; scalar. p(y) is `prior` [C], by default uniform.

    The divergence is taken at `marginal` [C], a running mean of q over batches, because the mean over one batch is
    too noisy an estimate of it. Shares between 1 / (1 + `tolerance`) and 1 + `tolerance` times those of p(y)
    cost nothing: they are seldom known exactly.
    """
    classes = logits.shape[-1]
    ratio = classes * marginal if prior is None else marginal / prior
    log_ratio = tf.math.log(ratio + 1e-3)  # log q(y) / p(y)
    surplus = tf.sign(log_ratio) * tf.nn.relu(tf.abs(log_ratio) - math.log1p(tolerance))
    return tf.reduce_mean(tf.reduce_sum(tf.nn.softmax(logits) * surplus, -1))
