"""Parts that a user might add, each as small as it can be: a source, a trunk, a classifier, a regularizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfadgm.data.dataset import UNLABELED, Dataset
from tfadgm.data.sources import SOURCES
from tfadgm.hyperparameters import Above, AtLeast
from tfadgm.inference.regularizers import REGULARIZERS, Regularizer
from tfadgm.inference.sampling import Sampler
from tfadgm.models import MODELS, Classifier
from tfadgm.nn.normalization import BatchNormMode
from tfadgm.nn.trunks import TRUNKS


def stripes(data_dir: str | None = None, seed: int = 0) -> Dataset:
    """Two classes on either side of a line, 60 training points, of which 20 have a label, and 40 test points."""
    x = np.random.default_rng(0).normal(size=[100, 3]).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64)
    known = np.where(np.arange(60) < 20, y[:60], UNLABELED)
    return Dataset(x[:60], known, x[60:], y[60:], ("left", "right"), "gaussian")


class Wide(keras.layers.Layer):
    """A trunk of one layer of cosines."""

    def __init__(
        self,
        output_units: int,
        *,
        input_units: Sequence[int],
        hidden_units: Sequence[int],
        batch_norm: bool,
        output: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.inner = [keras.layers.Dense(hidden_units[0], name=f"inner_{i}") for i in range(len(input_units))]
        self.outer, self.input_units, self.hidden_width = keras.layers.Dense(output_units), input_units, hidden_units[0]

    def build(self, *shapes: Any) -> None:
        for layer, units in zip(self.inner, self.input_units, strict=True):
            layer.build((None, units))
        self.outer.build((None, self.hidden_width))
        self.built = True

    def call(self, *inputs: tf.Tensor, bn_mode: BatchNormMode = "average") -> tf.Tensor:
        return self.head(self.hidden(*inputs, bn_mode=bn_mode))

    def hidden(self, *inputs: tf.Tensor, bn_mode: BatchNormMode = "average") -> tf.Tensor:
        parts = [layer(x) for layer, x in zip(self.inner, inputs, strict=True)]
        return tf.cos(sum(parts[1:], parts[0]))

    def head(self, hidden: tf.Tensor) -> tf.Tensor:
        return self.outer(hidden)


@keras.saving.register_keras_serializable("tests")
class Entropy(Regularizer):
    """A regularizer that makes the classifier certain."""

    name = "entropy"

    def __init__(self, *, weight: Annotated[float, AtLeast(0), "weight of the entropy of q(y|x)"] = 0.0) -> None:
        self.weight = weight

    def __call__(self, model: Any, x: tf.Tensor, logits: tf.Tensor, sampler: Sampler, seed: tf.Tensor) -> tf.Tensor:
        log_q = tf.nn.log_softmax(logits)
        return -tf.reduce_mean(tf.reduce_sum(tf.exp(log_q) * log_q, -1))


@keras.saving.register_keras_serializable("tests")
class Softmax(Classifier):
    """A classifier that is no deep generative model: cross-entropy on the labels, and regularizers."""

    def __init__(
        self,
        feature_shape: Sequence[int],
        classes: int,
        *,
        sharpness: Annotated[float, Above(0), "what logits are multiplied by"] = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(feature_shape, classes, **options)
        self.sharpness = sharpness
        self.q_y_x = self.categorical(classes, self.scaling.units)
        self.reports("label_nll", *(part.name for part in self.regularizers))
        self.build()

    def class_logits(self, x: tf.Tensor, sampler: Sampler) -> tf.Tensor:
        return self.sharpness * self.q_y_x(x, bn_mode=sampler.bn_mode)[None]

    def training_terms(self, data: Any, seeds: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        (x, y), unlabeled = data["labeled"], self.scaling(data["unlabeled"])
        nll = self.supervised_loss(self.scaling(x), tf.one_hot(y, self.classes), seeds[0], "batch")
        sampler = self.sampler(seeds[1], tf.shape(unlabeled)[0], "update")
        added, values = self.regularization(unlabeled, self.class_logits(unlabeled, sampler), sampler, seeds[2])
        return nll + added, {"label_nll": nll, **values}


TOYS = {"dataset": "stripes", "model": "softmax", "hidden_units": [4], "xla": False, "epochs": 3, "unlabeled_batch": 30}


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The parts, known by their names, and the configuration of a run that uses them; it takes a second."""
    monkeypatch.setitem(SOURCES, "stripes", stripes)
    monkeypatch.setitem(TRUNKS, "wide", Wide)
    monkeypatch.setitem(MODELS, "softmax", Softmax)
    monkeypatch.setitem(REGULARIZERS, "entropy", Entropy)
    return dict(TOYS)
