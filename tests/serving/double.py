"""A test double that speaks TF Serving's wire formats: gRPC PredictionService, REST v1, polling for new versions.

It is not TF Serving. It takes the flags of `tensorflow_model_server` that the tests use, so that the same tests can
run against the real server, and merges, pads and splits requests as that does with batching on.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tests.serving.double_models import Models, ServerError
from tfadgm.serving.signatures import strings


def grpc_errors(method):
    def answer(self, request, context):
        try:
            return method(self, request)
        except ServerError as failure:
            context.abort(failure.code, str(failure))

    return answer


class Grpc(prediction_service_pb2_grpc.PredictionServiceServicer, model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, models):
        self.models = models

    @grpc_errors
    def Predict(self, request):  # noqa: N802
        version = self.models[request.model_spec.name]
        name = request.model_spec.signature_name or "serving_default"
        outputs = version.run(name, {key: tf.make_ndarray(value) for key, value in request.inputs.items()})
        response = predict_pb2.PredictResponse()
        response.model_spec.name, response.model_spec.signature_name = request.model_spec.name, name
        response.model_spec.version.value = version.number
        for alias, value in outputs.items():
            response.outputs[alias].CopyFrom(tf.make_tensor_proto(value))
        return response

    @grpc_errors
    def Classify(self, request):  # noqa: N802
        version = self.models[request.model_spec.name]
        examples = [example.SerializeToString() for example in request.input.example_list.examples]
        name = request.model_spec.signature_name or "serving_default"
        outputs = version.run(name, {"inputs": strings(examples)})
        response = classification_pb2.ClassificationResponse()
        for names, scores in zip(outputs["classes"], outputs["scores"], strict=True):
            row = response.result.classifications.add()
            for label, score in zip(names, scores, strict=True):
                row.classes.add(label=label.decode(), score=score)
        return response

    @grpc_errors
    def GetModelStatus(self, request):  # noqa: N802
        response = get_model_status_pb2.GetModelStatusResponse()
        response.model_version_status.add(version=self.models[request.model_spec.name].number, state="AVAILABLE")
        return response


def decoded(value):
    """JSON with {"b64": ...} as bytes."""
    if isinstance(value, dict) and set(value) == {"b64"}:
        return base64.b64decode(value["b64"])
    return [decoded(item) for item in value] if isinstance(value, list) else value


def array(value, kind):
    value = decoded(value)
    return strings(value) if kind == tf.string else np.array(value, kind.as_numpy_dtype)


def plain(value):
    return [item.decode() for item in value] if value.dtype == np.object_ else value.tolist()


class Rest(BaseHTTPRequestHandler):
    models: Models
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self.answer(self.status)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(lambda: self.predict(body))

    def answer(self, work):
        try:
            code, body = 200, work()
        except ServerError as failure:
            code, body = 404 if failure.code == grpc.StatusCode.NOT_FOUND else 400, {"error": str(failure)}
        except (ValueError, KeyError, TypeError) as error:
            code, body = 400, {"error": f"JSON: {error}"}
        text = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def status(self):
        version = self.models[self.path.rsplit("/", 1)[1]]
        status = {"error_code": "OK", "error_message": ""}
        return {"model_version_status": [{"version": str(version.number), "state": "AVAILABLE", "status": status}]}

    def predict(self, body):
        name = re.fullmatch(r"/v1/models/([^/:]+):predict", self.path)[1]
        version, request = self.models[name], json.loads(body)
        key = request.get("signature_name", "serving_default")
        inputs = {}
        if key in version.signatures:
            kinds = {alias: tf.dtypes.as_dtype(spec.dtype) for alias, spec in version.signatures[key].inputs.items()}
            given = request["inputs"] if "inputs" in request else request["instances"]
            if "instances" in request and isinstance(given[0], dict) and set(given[0]) == set(kinds):
                given = {alias: [row[alias] for row in given] for alias in kinds}
            named = given if isinstance(given, dict) and set(given) == set(kinds) else {next(iter(kinds)): given}
            inputs = {alias: array(value, kinds[alias]) for alias, value in named.items()}
        outputs = {alias: plain(value) for alias, value in version.run(key, inputs).items()}
        if "inputs" in request:
            return {"outputs": outputs if len(outputs) > 1 else next(iter(outputs.values()))}
        rows = [dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values(), strict=True)]
        return {"predictions": rows if len(outputs) > 1 else next(iter(outputs.values()))}


def batching_limits(path):
    text = Path(path).read_text()
    return {
        "largest": int(re.search(r"max_batch_size { value: (\d+) }", text)[1]),
        "timeout": int(re.search(r"batch_timeout_micros { value: (\d+) }", text)[1]) / 1e6,
        "sizes": sorted(map(int, re.findall(r"allowed_batch_sizes: (\d+)", text))),
    }


class Double:
    """The server in threads of this process, started by the flags of `tensorflow_model_server`."""

    def __init__(self, arguments):
        parser = argparse.ArgumentParser()
        parser.add_argument("--port", type=int)
        parser.add_argument("--rest_api_port", type=int)
        parser.add_argument("--model_config_file")
        parser.add_argument("--monitoring_config_file")
        parser.add_argument("--batching_parameters_file")
        parser.add_argument("--enable_batching", action="store_true")
        parser.add_argument("--file_system_poll_wait_seconds", type=int, default=1)
        flags = parser.parse_args(arguments)
        limits = batching_limits(flags.batching_parameters_file) if flags.enable_batching else None
        self.models = Models(flags.model_config_file, limits, flags.file_system_poll_wait_seconds)
        self.grpc = grpc.server(futures.ThreadPoolExecutor(32))
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Grpc(self.models), self.grpc)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(Grpc(self.models), self.grpc)
        self.grpc.add_insecure_port(f"localhost:{flags.port}")
        self.grpc.start()
        handler = type("Handler", (Rest,), {"models": self.models})
        self.rest = ThreadingHTTPServer(("localhost", flags.rest_api_port), handler)
        threading.Thread(target=self.rest.serve_forever, daemon=True).start()

    def stop(self):
        self.models.stopped.set()
        self.rest.shutdown()
        self.rest.server_close()
        self.grpc.stop(None).wait()
