"""The wire formats of TF Serving, with the real client stubs.

They are driven against a test double (`double.py`, which is not TF Serving), and against the real server when
TENSORFLOW_MODEL_SERVER names its binary.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tests.serving.conftest import NAMES, make_plain
from tests.serving.double import Double
from tests.serving.test_signatures import ask, png
from tfadgm.serving import configs
from tfadgm.serving.servable import Servable
from tfadgm.serving.signatures import serialized_example, strings

BINARY = os.environ.get("TENSORFLOW_MODEL_SERVER")
SECONDS = 120


class Server:
    """A server on a copy of an export, and its clients: the double without a `binary`."""

    def __init__(self, binary: str | None, output: Path, exported: Path, batching: bool):
        shutil.copytree(exported, output / "tiny" / "1")
        configs.write(output / "tiny")
        with socket.socket() as one, socket.socket() as two:
            one.bind(("localhost", 0))
            two.bind(("localhost", 0))
            self.port, self.rest_port = one.getsockname()[1], two.getsockname()[1]
        flags = [
            f"--port={self.port}",
            f"--rest_api_port={self.rest_port}",
            f"--model_config_file={output / 'models.config'}",
            f"--monitoring_config_file={output / 'monitoring.config'}",
            "--file_system_poll_wait_seconds=1",
        ]
        if batching:
            flags += ["--enable_batching", f"--batching_parameters_file={output / 'batching.config'}"]
        self.output = output
        self.double = None if binary else Double(flags)
        self.process = subprocess.Popen([binary, *flags]) if binary else None
        self.channel = grpc.insecure_channel(f"localhost:{self.port}")
        self.predictions = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)
        grpc.channel_ready_future(self.channel).result(SECONDS)
        self.wait_for(1)

    def stop(self) -> None:
        self.channel.close()
        if self.double:
            self.double.stop()
        else:
            self.process.kill()
            self.process.wait()

    def available(self) -> set[int]:
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = "tiny"
        status = get_model_status_pb2.ModelVersionStatus
        found = self.models.GetModelStatus(request, SECONDS).model_version_status
        return {version.version for version in found if version.state == status.AVAILABLE}

    def wait_for(self, version: int) -> None:
        end = time.monotonic() + SECONDS
        while version not in self.available():
            assert time.monotonic() < end, f"version {version} is not available"
            threading.Event().wait(0.1)

    def predict(self, signature: str, name: str = "tiny", **arrays: np.ndarray) -> dict[str, np.ndarray]:
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = name, signature
        for key, value in arrays.items():
            request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
        response = self.predictions.Predict(request, SECONDS)
        return {key: tf.make_ndarray(value) for key, value in response.outputs.items()}

    def rest(self, path: str, body: object = None) -> tuple[int, dict]:
        url = f"http://localhost:{self.rest_port}/v1/models/{path}"
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(url, data, SECONDS) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(None, id="double"),
        pytest.param(
            BINARY,
            id="tensorflow_model_server",
            marks=pytest.mark.skipif(not BINARY, reason="TENSORFLOW_MODEL_SERVER names no server"),
        ),
    ],
)
def binary(request) -> str | None:
    return request.param


@pytest.fixture(scope="module")
def server(binary, exported, tmp_path_factory):
    server = Server(binary, tmp_path_factory.mktemp("served"), exported, batching=False)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def batching(binary, exported, tmp_path_factory):
    server = Server(binary, tmp_path_factory.mktemp("batching"), exported, batching=True)
    yield server
    server.stop()


def requests(x: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    images = (255 * x).astype(np.uint8)
    return {
        "serving_default": {"x": x},
        "score": {"x": x},
        "embed": {"x": x},
        "generate": {"label": np.arange(len(x)) % 3, "seed": np.array([1, 2], np.int32)},
        "classify": {"inputs": strings(map(serialized_example, x))},
        "predict_images": {"images": images},
        "predict_bytes": {"image_bytes": strings(map(png, images))},
    }


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        if value.dtype == np.float32:
            np.testing.assert_allclose(found[key], value, atol=1e-5 * max(1, np.abs(value).max()))
        else:
            assert found[key].tolist() == value.tolist()


def test_every_signature_over_grpc(server, servable, x):
    for signature, arrays in requests(x).items():
        assert_same(server.predict(signature, **arrays), ask(servable, signature, *arrays.values()))


def test_merged_signatures_over_grpc(batching, servable, x):
    for signature, arrays in requests(x).items():
        if signature != "generate":
            assert_same(batching.predict(signature, **arrays), ask(servable, signature, *arrays.values()))


def test_classify(server, servable, x):
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name, request.model_spec.signature_name = "tiny", "classify"
    for row in x:
        request.input.example_list.examples.add().MergeFromString(serialized_example(row))
    result = server.predictions.Classify(request, SECONDS).result.classifications
    assert [[found.label for found in row.classes] for row in result] == [list(NAMES)] * len(x)
    scores = [[found.score for found in row.classes] for row in result]
    np.testing.assert_allclose(scores, ask(servable, "serving_default", x)["probabilities"], atol=1e-5)


def test_rest(server, servable, x):
    status, answer = server.rest("tiny")
    assert status == 200
    assert answer["model_version_status"][0] | {"status": 0} == {"version": "1", "state": "AVAILABLE", "status": 0}
    expected = ask(servable, "serving_default", x)
    for body in ({"inputs": {"x": x.tolist()}}, {"inputs": x.tolist()}):
        status, answer = server.rest("tiny:predict", body)
        assert status == 200
        np.testing.assert_allclose(answer["outputs"]["probabilities"], expected["probabilities"], atol=1e-5)
    for instances in (x.tolist(), [{"x": row.tolist()} for row in x]):
        status, answer = server.rest("tiny:predict", {"instances": instances})
        assert [row["label"] for row in answer["predictions"]] == expected["label"].tolist()
        assert [row["label_name"] for row in answer["predictions"]] == [NAMES[label] for label in expected["label"]]


def test_rest_takes_images_as_bytes(server, servable, images):
    instances = [{"b64": base64.b64encode(png(image)).decode()} for image in images]
    status, answer = server.rest("tiny:predict", {"signature_name": "predict_bytes", "instances": instances})
    assert status == 200
    expected = ask(servable, "predict_images", images)["probabilities"]
    found = [row["probabilities"] for row in answer["predictions"]]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "codes"),
    [
        ({"signature": "serving_default", "x": np.zeros([2, 3, 3], np.float32)}, {"INVALID_ARGUMENT"}),
        ({"signature": "score", "x": np.zeros([1, 2, 6], np.float32)}, {"INVALID_ARGUMENT"}),
        ({"signature": "embed", "x": np.zeros([4, 3], np.float32)}, {"INVALID_ARGUMENT"}),
        ({"signature": "predict_images", "images": np.zeros([6], np.uint8)}, {"INVALID_ARGUMENT"}),
        ({"signature": "serving_default", "x": np.zeros([2, 2, 3], np.int32)}, {"INVALID_ARGUMENT"}),
        ({"signature": "serving_default", "y": np.zeros([2, 2, 3], np.float32)}, {"INVALID_ARGUMENT"}),
        ({"signature": "nothing", "x": np.zeros([2, 2, 3], np.float32)}, {"FAILED_PRECONDITION", "INVALID_ARGUMENT"}),
        ({"signature": "score", "name": "other", "x": np.zeros([2, 2, 3], np.float32)}, {"NOT_FOUND"}),
    ],
)
def test_bad_requests_over_grpc(server, arguments, codes):
    with pytest.raises(grpc.RpcError) as raised:
        server.predict(**arguments)
    assert raised.value.code().name in codes


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("tiny:predict", {"inputs": {"x": [[1.0, 2.0]]}}, 400),
        ("tiny:predict", {"inputs": {"x": "words"}}, 400),
        ("tiny:predict", {"signature_name": "nothing", "inputs": [1.0]}, 400),
        ("tiny:predict", {}, 400),
        ("other:predict", {"inputs": [1.0]}, 404),
        ("other", None, 404),
    ],
)
def test_bad_requests_over_rest(server, path, body, status):
    found, answer = server.rest(path, body)
    assert found == status
    assert answer["error"]


def load(server: Server, servable: Servable, calls: int, clients: int) -> None:
    """`calls` requests of 1 to 5 rows from `clients` at once; every answer is the one given offline."""
    x = np.random.default_rng(5).random([64, *servable.model.feature_shape]).astype(np.float32)
    expected = ask(servable, "serving_default", x)

    def client(number: int) -> None:
        generator = np.random.default_rng(number)
        for _ in range(calls // clients):
            rows = generator.integers(0, len(x), generator.integers(1, 6))
            found = server.predict("serving_default", x=x[rows])
            assert_same(found, {key: value[rows] for key, value in expected.items()})

    with ThreadPoolExecutor(clients) as threads:
        list(threads.map(client, range(clients)))


def test_more_rows_than_a_server_merges_are_refused(batching):
    with pytest.raises(grpc.RpcError) as raised:
        batching.predict("serving_default", x=np.zeros([257, 2, 3], np.float32))
    assert raised.value.code().name == "INVALID_ARGUMENT"


def test_many_merged_requests(batching, servable):
    load(batching, servable, 400, 16)
    if batching.double:
        version = batching.double.models["tiny"]
        assert version.batchers["serving_default"].most > 1


def test_a_new_version_arrives_under_load(binary, plain, tmp_path):
    server = Server(binary, tmp_path, plain, batching=True)
    servable = Servable(make_plain(feature_shape=(6,)), NAMES)
    try:
        with ThreadPoolExecutor(1) as background:
            running = background.submit(load, server, servable, 240, 8)
            shutil.copytree(plain, tmp_path / "tiny" / ".partial")
            (tmp_path / "tiny" / ".partial").rename(tmp_path / "tiny" / "2")
            server.wait_for(2)
            running.result()
        load(server, servable, 80, 8)
    finally:
        server.stop()
