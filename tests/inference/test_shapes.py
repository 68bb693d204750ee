"""The shapes that docstrings of the formulas promise, by TensorFlow's own check; each axis has a size of its own."""

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import ALL, CLASSES, make_model
from tfadgm.inference import elbo, marginalization, regularizers
from tfadgm.inference.sampling import Sampler
from tfadgm.nn.conditionals import Gaussian

SIZES = {"S": 4, "B": 3, "C": 5, "Z": 2, "D": 6, "K": 7}
SEED = tf.constant([0, 1])


def ones(axes: str) -> tf.Tensor:
    return tf.ones([SIZES[axis] for axis in axes])


def normal(axes: str) -> tf.Tensor:
    return tf.constant(np.random.default_rng(0).normal(size=ones(axes).shape), tf.float32)


def check(found: tf.Tensor, axes: str) -> None:
    tf.debugging.assert_shapes([(found, tuple(SIZES[axis] for axis in axes))])


def gaussian(axes: str):
    return Gaussian.of(tf.concat([ones(axes), ones(axes)], -1))


@pytest.mark.parametrize(
    ("formula", "axes"),
    [
        (lambda: elbo.reparameterize(gaussian("BZ"), normal("SBZ")), "SBZ"),
        (lambda: elbo.reparameterize(gaussian("KSBZ"), normal("SBZ")), "KSBZ"),
        (lambda: elbo.kl_from_prior(gaussian("SBZ")), "SB"),
        (lambda: elbo.kl_from_prior(gaussian("BZ"), normal("SBZ")), "SB"),
        (lambda: elbo.class_elbo(ones("KSB"), 0.0, ones("SB")), "KSB"),
        (lambda: elbo.class_elbo(ones("SB"), ones("B"), ones("SB"), ones("SB"), 0.5), "SB"),
        (lambda: elbo.importance_weighted(normal("SB"), 2), "B"),
        (lambda: elbo.objective(ones("B"), ones("K"), ones("B"), 2.0), ""),
        (lambda: elbo.sum_of_squares([ones("BD"), ones("D")]), ""),
        (lambda: elbo.weight_log_prior(ones("BD"), ones("D")), ""),
        (lambda: elbo.clip_by_global_norm([ones("BD"), ones("D")], 1.0)[0], "BD"),
        (lambda: marginalization.exact(normal("SBC"), lambda y: tf.zeros([y.shape[0], 4, 3]), SEED), "SB"),
        (lambda: marginalization.rao_blackwellised(normal("SBC"), lambda y: tf.zeros([2, 4, 3]), SEED), "SB"),
        (
            lambda: regularizers.virtual_adversarial(
                lambda x: (x @ ones("DC"))[None] + ones("SBC"), normal("BD"), normal("SBC"), 0.1, SEED
            ),
            "B",
        ),
        (lambda: regularizers.prior_mismatch(normal("SBC"), ones("C") / 5), ""),
        (lambda: Sampler(SEED, 4)(gaussian("BZ")), "SBZ"),
        (lambda: Sampler.constant(4, {"z": 2})(gaussian("BZ"), "z"), "SBZ"),
    ],
)
def test_a_formula_has_the_shape_that_it_promises(formula, axes):
    check(formula(), axes)
    check(tf.function(formula)(), axes)


@ALL
def test_a_model_has_the_shapes_that_it_promises(kind):
    model = make_model(kind, samples=4)
    x, y = tf.ones([5, 2, 3]), tf.constant([0, 1, 2, 1, 0])
    tf.debugging.assert_shapes(
        [
            (model(x), ("rows", CLASSES)),
            (model.labeled_elbo(x, y), ("rows",)),
            (model.unlabeled_elbo(x), ("rows",)),
            (model.generate(y, (0, 1)), ("rows", 2, 3)),
            (x, ("rows", 2, 3)),
        ]
    )
