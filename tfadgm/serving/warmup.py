"""Requests that a server replays before it takes a new version, so that the first client does not wait."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from tfadgm.serving.runners import Arrays
from tfadgm.serving.signatures import FEATURE, Servable

FILE = "tf_serving_warmup_requests"  # in assets.extra, the name TF Serving looks for
BATCH_SIZES = (1, 2, 4, 16, 64, 256)
# A server that merges requests wants one size of all inputs of a request, and the seed of `generate` is of size 2.
GENERATE_SIZES = (2,)


def example_requests(servable: Servable, rows: int) -> dict[str, Arrays]:
    """A request of `rows` rows for every signature, made of the model's own examples of each class in turn."""
    labels = np.arange(rows) % servable.model.classes
    seed = np.array([0, 0], np.int32)
    x = servable.model.generate(labels, seed).numpy()
    pixels = np.rint(np.clip(x / servable.byte_units(), 0, 255)).astype(np.uint8)
    requests = {
        "serving_default": {"x": x},
        "score": {"x": x},
        "embed": {"x": x},
        "generate": {"label": labels, "seed": seed},
        "classify": {"inputs": strings(map(serialized_example, x))},
        "predict_images": {"images": pixels},
        "predict_bytes": {"image_bytes": strings(map(np.ndarray.tobytes, pixels))},
    }
    return {name: requests[name] for name in servable.signatures}


def strings(values: Iterable[bytes]) -> np.ndarray:
    """An array of bytes objects."""
    found = list(values)
    array = np.empty(len(found), np.object_)
    array[:] = found
    return array


def serialized_example(x: np.ndarray) -> bytes:
    """The tf.Example of one row, for the signature `classify`."""
    feature = tf.train.Feature(float_list=tf.train.FloatList(value=x.ravel()))
    return tf.train.Example(features=tf.train.Features(feature={FEATURE: feature})).SerializeToString()


def write(path: Path, name: str, requests: dict[str, Arrays]) -> None:
    """The warm-up file `path` of model `name`: each of `requests` at every size of batch."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, arrays in requests.items():
            for size in GENERATE_SIZES if signature == "generate" else BATCH_SIZES:
                rows = {key: value if key == "seed" else value[:size] for key, value in arrays.items()}
                writer.write(_log(name, signature, rows).SerializeToString())


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
    if signature == "classify":
        request = log.classify_log.request
        for value in arrays["inputs"]:
            request.input.example_list.examples.add().MergeFromString(value)
    else:
        request = log.predict_log.request
        for key, value in arrays.items():
            request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    request.model_spec.name, request.model_spec.signature_name = name, signature
    return log
