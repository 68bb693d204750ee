"""From a configuration to a compiled model, and what names its training."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfadgm import models
from tfadgm.config import AFTERWARDS, RUN, Config, all_hyperparameters
from tfadgm.data.dataset import Dataset
from tfadgm.data.streams import steps_per_epoch
from tfadgm.files import digest
from tfadgm.models.base import OLD_NAMES, renamed
from tfadgm.resolve import class_shares

AT_ONCE = 20  # steps that run without a return to Python
LOOKS = 50  # returns to Python, at least, of a run of so many epochs
# Where an operation has the shapes of what a convolution puts out, and of its kernel.
CONVOLUTIONS: dict[str, Callable[[tf.Operation], tuple[tf.TensorShape, tf.TensorShape]]] = {
    "Conv2D": lambda op: (op.outputs[0].shape, op.inputs[1].shape),
    "Conv2DBackpropInput": lambda op: (op.inputs[2].shape, op.inputs[1].shape),
    "Conv2DBackpropFilter": lambda op: (op.inputs[2].shape, op.outputs[0].shape),
}


def build_model(config: Config, dataset: Dataset) -> models.BaseModel:
    """The compiled model of a resolved `config` for the training points of `dataset`."""
    keras.utils.set_random_seed(config.seed)
    points = len(dataset.x)
    steps = steps_per_epoch(points, config.unlabeled_batch)
    arguments: dict[str, Any] = {}
    if not config.is_density:
        arguments = {
            "classes": dataset.classes,
            "alpha": config.alpha,
            "class_prior": class_shares(config, dataset),
            "prior_follows": config.class_prior == "estimate",
        }
    if dataset.schema is not None:
        arguments["columns"] = dataset.schema.to_json()
    elif dataset.x.dtype == np.float64:
        arguments["feature_dtype"] = "float64"
    elif dataset.resized:
        arguments["resizes"] = True
    model = models.make(
        config.model,
        dataset.x.shape[1:],
        config.choices,
        likelihood=config.likelihood,
        weight_prior=config.weight_prior / points,
        warm_up=config.warm_up * steps,
        seed=config.seed,
        **arguments,
    )
    model.adapt(dataset.x)
    average = {"use_ema": True, "ema_momentum": config.ema_momentum} if config.ema_momentum else {}
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate(config, steps), **average),
        steps_per_execution=steps_per_execution(steps),
    )
    model.optimizer.build(model.trainable_variables)
    return model


def learning_rate(config: Config, steps: int) -> float | keras.optimizers.schedules.CosineDecay:
    """The step size: constant, then falling to zero over the last `decay` of all epochs of `steps` steps."""
    hold = constant_steps(config, steps)
    falling = (config.epochs or 0) * steps - hold
    if not config.decay or falling < 1:
        return config.learning_rate
    return keras.optimizers.schedules.CosineDecay(
        config.learning_rate, falling, warmup_target=config.learning_rate, warmup_steps=hold
    )


def constant_steps(config: Config, steps: int) -> int:
    """How many steps come before the step size falls."""
    return round((1 - config.decay) * (config.epochs or 0) * steps)


def steps_per_execution(steps: int) -> int:
    """The largest divisor of `steps` up to AT_ONCE: steps that run without a return to Python."""
    return max(divisor for divisor in range(1, AT_ONCE + 1) if steps % divisor == 0)


def epochs_at_once(steps: int, epochs: int, *stops: int) -> int:
    """How many of `epochs` epochs of `steps` steps run together: AT_ONCE steps at most, and LOOKS returns at least.

    None of the epochs `stops` is missed.

    Examples:
        >>> epochs_at_once(1, 2000, 0), epochs_at_once(1, 2000, 30), epochs_at_once(12, 200), epochs_at_once(1, 50)
        (20, 10, 1, 1)
    """
    most, common = min(AT_ONCE // steps, epochs // LOOKS), math.gcd(epochs, *stops)
    return max(count for count in range(1, max(1, most) + 1) if common % count == 0)


def count_flops(model: models.BaseModel, batch: dict[str, Any]) -> int:
    """Operations of the products in one training step, from the shapes in its graph.

    2 n k m for matrices, and for a convolution 2 times its kernel for each pixel that comes out and each example.
    """
    graph = tf.function(model._update, autograph=False).get_concrete_function(batch).graph
    return sum(_flops(op) for op in graph.get_operations())


def _flops(op: tf.Operation) -> int:
    if op.type in ("MatMul", "BatchMatMulV2"):
        inner = op.inputs[0].shape[0 if op.get_attr("transpose_a") else 1]
        return int(2 * inner * op.outputs[0].shape.num_elements())
    if op.type not in CONVOLUTIONS:
        return 0
    pixels, kernel = CONVOLUTIONS[op.type](op)
    return int(2 * (pixels[0] or 1) * pixels[1] * pixels[2] * kernel.num_elements())


def fingerprint(values: dict[str, Any], dataset: Dataset) -> str:
    """Names a run by all that decides its weights; how long it trains does so if the step size decays.

    A field that is added later leaves the name of older runs as it was, and so does a new name of a field.

    Args:
        values: the configuration, as `config.json` has it.
        dataset: whose y holds the labels that training sees.
    """
    free = ["dataset", "data_dir", *AFTERWARDS] + ["epochs"] * (not values["decay"])  # arrays stand for the first two
    values = renamed(values)
    old = {new: name for name, new in OLD_NAMES.items()}
    defaults = {name: own.default for name, own in RUN.items()}
    defaults |= {name: found[0][1].default for name, found in all_hyperparameters().items()}
    defaults |= {name: own.default for name, own in models.hyperparameters(values["model"]).items()}
    choices = {
        old.get(name, name): value
        for name, value in values.items()
        if name not in free and value is not None and value != _listed(defaults[name]) and value != defaults[name]
    }
    labels = dataset.label_indices
    text = json.dumps(choices, sort_keys=True).encode()
    return digest(dataset.x, dataset.y[labels], labels, after=text)


def _listed(value: Any) -> Any:
    """As JSON has it."""
    return list(value) if isinstance(value, tuple) else value
