"""From a trained model to a numbered version that a server can take: written aside, verified, then renamed.

DIR/NAME/1/saved_model.pb, variables/        the model
DIR/NAME/1/assets.extra/                     model_info.json and the warm-up requests
DIR/models.config, batching.config, monitoring.config    what the server is started with
"""

from __future__ import annotations

import contextlib
import json
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
from tfadgm.checkpoint import writing
from tfadgm.errors import InputError
from tfadgm.models import SemiSupervisedModel
from tfadgm.serving import configs, contract, verification, warmup
from tfadgm.serving.calibration import calibrate
from tfadgm.serving.signatures import Servable

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def export(
    model: SemiSupervisedModel,
    output: str | Path,
    *,
    name: str,
    class_names: Iterable[str],
    version: int | None = None,
    samples: int | None = None,
    temperature: float | None = None,
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
        info: more to tell in model_info.json.

    Raises:
        InputError: if the arguments cannot be used, or nothing can be written there.
        VerificationError: if the export does not do what the model does. No version is left behind.
    """
    names = _checked(model, name, class_names, version, samples, temperature)
    folder = Path(output).absolute() / name
    if version is not None and (folder / str(version)).exists():
        raise _exists(folder / str(version))
    kept, model.prediction_samples = model.prediction_samples, samples or model.prediction_samples
    try:
        calibration = calibrate(model) if temperature is None else {"temperature": temperature}
        servable = Servable(model, names, calibration["temperature"])
        partial = folder / f".partial-{uuid.uuid4().hex}"
        with writing(folder):
            partial.mkdir(parents=True)
        try:
            _write(partial, servable, name, {**(info or {}), "calibration": calibration})
            final = _number(partial, folder, version)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            with contextlib.suppress(OSError):
                folder.rmdir()  # if nothing else is there
    finally:
        model.prediction_samples = kept
    configs.write(folder)
    return final


def _checked(
    model: SemiSupervisedModel,
    name: str,
    class_names: Iterable[str],
    version: int | None,
    samples: int | None,
    temperature: float | None,
) -> tuple[str, ...]:
    """The class names, once all arguments are found usable."""
    if not NAME.fullmatch(name):
        raise InputError(f"Expected a name of letters, digits, points, dashes and underscores. Received: {name!r}")
    for what, value in (("version", version), ("samples", samples)):
        if value is not None and value < 1:
            raise InputError(f"Expected {what} to be 1 or more. Received: {value}")
    if temperature is not None and not 0 < temperature < float("inf"):
        raise InputError(f"Expected a temperature above 0. Received: {temperature}")
    names = tuple(class_names)
    try:
        [found.encode() for found in names]
    except (AttributeError, UnicodeEncodeError) as error:
        raise InputError(f"Expected class names as text. Received: {names}") from error
    if len(names) != model.classes:
        raise InputError(f"Expected {model.classes} class names. Received: {len(names)}")
    return names


def _write(path: Path, servable: Servable, name: str, info: dict[str, Any]) -> None:
    """A complete, verified export in the folder `path`."""
    model = servable.model
    requests = warmup.example_requests(servable, max(warmup.BATCH_SIZES))
    with writing(path):
        try:
            servable.write(path)
            warmup.write(path / verification.INFO.parent / warmup.FILE, name, requests)
        except tf.errors.OpError as error:  # TensorFlow's writers on a full disk
            raise OSError(str(error).splitlines()[0]) from error
        told = {
            **info,
            "name": name,
            "classes": list(servable.class_names),
            "feature_shape": list(model.feature_shape),
            "feature_units": _units(model),
            "auxiliary_units": model.auxiliary_units,
            "latent_units": model.latent_units,
            "samples": model.prediction_samples,
            "parameters": parameters(model),
            "batch_sizes": list(warmup.BATCH_SIZES),
            "versions": {
                "tfadgm": tfadgm.__version__,
                "tensorflow": tf.__version__,
                "keras": keras.__version__,
                "tensorflow_probability": tfp.__version__,
            },
            "content_sha256": contract.content_hash(path),
        }
        (path / verification.INFO).write_text(json.dumps(told))
    told["verified"] = verification.verify(path, servable)
    with writing(path):
        (path / verification.INFO).write_text(json.dumps(told, indent=2) + "\n")


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
    return max((int(path.name) for path in folder.glob("[0-9]*") if path.name.isdigit()), default=0)


def parameters(model: SemiSupervisedModel) -> int:
    """How many numbers the model's answers depend on."""
    return sum(int(np.prod(weight.shape)) for weight in model.weights if weight.dtype == "float32") - model.classes


def _units(model: SemiSupervisedModel) -> str:
    """In which units a client gives features: those of the training data."""
    shift, scale = model.scaling.shift.numpy(), model.scaling.scale.numpy()
    if model.likelihood == "bernoulli":
        return f"those of training: intensities from 0 to {scale[0]:g}"
    return (
        f"those of training: means of the features from {shift.min():g} to {shift.max():g}, "
        f"standard deviations from {scale.min():g} to {scale.max():g}"
    )


def _exists(path: Path) -> InputError:
    return InputError(f"Expected a new version. Received {path}, which exists and is never overwritten")
