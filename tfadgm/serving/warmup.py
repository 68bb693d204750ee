"""Requests that a server replays before it takes a new version, so that the first client does not wait."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfadgm.errors import extra
from tfadgm.models import Classifier, DeepGenerativeClassifier
from tfadgm.serving.runners import Arrays
from tfadgm.serving.servable import Servable
from tfadgm.serving.signatures import SIGNATURES, signatures_of, strings, takes_bytes

with extra("serve"):
    from tensorflow_serving.apis import prediction_log_pb2

FILE = "tf_serving_warmup_requests"  # in assets.extra, the name TF Serving looks for
BATCH_SIZES = (1, 2, 4, 16, 64, 256)
# A server that merges requests wants one size of all inputs of a request, and the seed of `generate` is of size 2.
OTHER_SIZES = (2,)


def example_requests(servable: Servable, rows: int) -> dict[str, Arrays]:
    """A request of `rows` rows for every signature, of examples of each class in turn."""
    label = np.arange(rows) % servable.model.classes
    x: Any = examples(servable.model, label)
    pixels = servable.pixels(x) if takes_bytes(servable.info) else x
    if servable.inputs:
        raw = servable.model.scaling.raw(tf.constant(x))
        x = {name: raw[told["column"]].numpy() for name, told in servable.inputs.items()}
        times = [name for name, told in servable.inputs.items() if told["kind"] == "date"]
        x |= {name: strings(map(_iso, x[name])) for name in times}
    return {name: signature.example(x, pixels, label) for name, signature in signatures_of(servable.info).items()}


def examples(model: Classifier, label: np.ndarray) -> np.ndarray:
    """Features [N, *features] of the classes `label` [N] as the model draws them; of a model that draws none, noise of
    the range or the mean and variance of the training data.
    """
    if isinstance(model, DeepGenerativeClassifier):
        return model.generate(label, (0, 0)).numpy()
    random, shape = np.random.default_rng(0), (len(label), model.scaling.units)
    rows = random.random(shape) if model.likelihood == "bernoulli" else random.standard_normal(shape)
    return model.scaling.invert(rows.astype(np.float32)).numpy()


def _iso(seconds: float) -> bytes:
    """A time as a client sends it."""
    return str(np.datetime64(int(seconds), "s")).encode()


def write(path: Path, name: str, requests: dict[str, Arrays]) -> None:
    """The warm-up file `path` of model `name`: each of `requests` at every size of batch."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, arrays in requests.items():
            own = SIGNATURES[signature]
            for size in BATCH_SIZES if own.merges else OTHER_SIZES:
                writer.write(_log(name, signature, own.rows(arrays, np.arange(size))).SerializeToString())


def read(path: Path) -> list[tuple[str, Arrays]]:
    """Signature and arrays of every request in a warm-up file."""
    requests = []
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        if log.HasField("classify_log"):
            request = log.classify_log.request
            examples = request.input.example_list.examples
            arrays = {"inputs": strings(example.SerializeToString() for example in examples)}
        else:
            request = log.predict_log.request
            arrays = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        requests.append((request.model_spec.signature_name, arrays))
    return requests


def _log(name: str, signature: str, arrays: Arrays) -> prediction_log_pb2.PredictionLog:
    log = prediction_log_pb2.PredictionLog()
    if SIGNATURES[signature].rpc == "classify":
        request = log.classify_log.request
        for value in arrays["inputs"]:
            request.input.example_list.examples.add().MergeFromString(value)
    else:
        request = log.predict_log.request
        for key, value in arrays.items():
            request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    request.model_spec.name, request.model_spec.signature_name = name, signature
    return log
