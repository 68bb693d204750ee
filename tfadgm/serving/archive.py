"""From a trained model to a numbered version that a server can take: written aside, verified, then renamed.

DIR/NAME/1/saved_model.pb, variables/        the model
DIR/NAME/1/assets.extra/                     model_info.json and the warm-up requests
DIR/models.config, batching.config, monitoring.config    what the server is started with
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfadgm
from tfadgm.errors import InputError, line
from tfadgm.evaluation.calibration import calibrate
from tfadgm.files import sync, write_json, writing
from tfadgm.models import Classifier, DeepGenerativeClassifier
from tfadgm.serving import configs, contract, verification, warmup
from tfadgm.serving.servable import Servable
from tfadgm.serving.signatures import write

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def export(
    model: Classifier,
    output: str | Path,
    *,
    name: str,
    class_names: Iterable[str],
    version: int | None = None,
    samples: int | None = None,
    temperature: float | None = None,
    threshold: float | None = None,
    info: dict[str, Any] | None = None,
) -> Path:
    """Exports `model` for TF Serving, verified, as a new version in `output`/`name`; returns its folder.

    Args:
        model: a trained classifier.
        output: the folder of all models of a server.
        name: of the model on the server.
        class_names: one for each class.
        version: by default one more than the newest.
        samples: of a and z that a prediction averages over; by default as the model has it.
        temperature: of the probabilities; by default fitted on the model's own examples.
        threshold: the probability from which an answer is `accepted`; by default there is no such output.
        info: more to tell in model_info.json.

    Raises:
        InputError: if the arguments cannot be used, or nothing can be written there.
        VerificationError: if the export does not do what the model does. No version is left behind.
    """
    servable = Servable(model, tuple(class_names), 1.0 if temperature is None else temperature, threshold)
    folder = Path(output).absolute() / name
    _check(name, folder, version, samples)
    kept, model.prediction_samples = model.prediction_samples, samples or model.prediction_samples
    partial = folder / f".partial-{uuid.uuid4().hex}"
    try:
        calibration = calibrate(model) if temperature is None else {"temperature": temperature}
        servable = dataclasses.replace(servable, temperature=calibration["temperature"])
        with writing(folder):
            partial.mkdir(parents=True)
        _fill(partial, servable, name, {**(info or {}), "calibration": calibration})
        final = _number(partial, folder, version)
        with writing(folder):
            sync(folder)
    finally:
        model.prediction_samples = kept
        shutil.rmtree(partial, ignore_errors=True)
        with contextlib.suppress(OSError):
            folder.rmdir()  # if nothing else is there
    configs.write(folder)
    return final


def _check(name: str, folder: Path, version: int | None, samples: int | None) -> None:
    """Raises InputError unless the model `name` can be exported into `folder`."""
    if not NAME.fullmatch(name):
        raise InputError(f"Expected a name of letters, digits, points, dashes and underscores. Received: {name!r}")
    if set("[\\") & set(str(folder)):
        raise InputError(f"Expected a folder without [ and \\, which TensorFlow takes for patterns. Received: {folder}")
    for what, value in (("version", version), ("samples", samples)):
        if value is not None and value < 1:
            raise InputError(f"Expected {what} to be 1 or more. Received: {value}")
    if version is not None and (folder / str(version)).exists():
        raise _exists(folder / str(version))


def _fill(path: Path, servable: Servable, name: str, info: dict[str, Any]) -> None:
    """A complete, verified export in the folder `path`."""
    requests = warmup.example_requests(servable, max(warmup.BATCH_SIZES))
    with writing(path):
        try:
            write(servable, path)
            warmup.write(path / verification.INFO.parent / warmup.FILE, name, requests)
        except tf.errors.OpError as error:  # TensorFlow's writers on a full disk
            raise OSError(line(error)) from error
    told = {
        **info,
        "name": name,
        **servable.info,
        "feature_units": _units(servable.model),
        "samples": servable.model.prediction_samples,
        "parameters": parameters(servable.model),
        "batch_sizes": list(warmup.BATCH_SIZES),
        "versions": {package.__name__: package.__version__ for package in (tfadgm, tf, keras, tfp)},
        "content_sha256": contract.content_hash(path),
    }
    write_json(path / verification.INFO, told)
    told["verified"] = verification.verify(path, servable)
    write_json(path / verification.INFO, told)
    with writing(path):
        for file in path.rglob("*"):
            sync(file)


def _number(partial: Path, folder: Path, version: int | None) -> Path:
    """Gives a complete export its number. A folder is renamed whole, so a server never sees part of one."""
    while True:
        final = folder / str(version or newest_version(folder) + 1)
        try:
            partial.rename(final)
            return final
        except OSError as error:
            if not final.exists():
                raise InputError(f"Expected to write to {final}. Received: {error}") from error
            if version is not None:
                raise _exists(final) from None


def newest_version(folder: Path) -> int:
    """The largest version in `folder`, 0 if there is none."""
    return max((int(path.name) for path in folder.iterdir() if path.name.isdecimal()), default=0)


def parameters(model: Classifier) -> int:
    """How many numbers the model's answers depend on: of a generative one all, of others those of its prediction."""
    if isinstance(model, DeepGenerativeClassifier):
        weights = [weight for weight in model.weights if weight is not model.class_marginal]
    else:
        x = tf.TensorSpec([None, *model.feature_shape], model.feature_dtype)
        weights = tf.function(model.call).get_concrete_function(x).graph.variables
    return sum(int(np.prod(weight.shape)) for weight in weights if weight.dtype == "float32")


def _units(model: Classifier) -> str:
    """In which units a client gives features: those of the training data."""
    if model.columns:
        return "those of training: numbers, text, and times as in ISO 8601 (UTC); an empty text or NaN is missing"
    shift, scale = model.scaling.shift.numpy(), model.scaling.scale.numpy()
    if model.likelihood == "bernoulli":
        return f"those of training: intensities from 0 to {scale[0]:g}"
    means = f"means of the features from {shift.min():g} to {shift.max():g}"
    return f"those of training: {means}, standard deviations from {scale.min():g} to {scale.max():g}"


def _exists(path: Path) -> InputError:
    return InputError(f"Expected a new version. Received {path}, which exists and is never overwritten")
