"""The models of the test double: loading, polling for new versions, merging of requests."""

from __future__ import annotations

import contextlib
import queue
import threading
from concurrent import futures
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.config import model_server_config_pb2

from tfadgm.serving import runners, warmup


class ServerError(Exception):
    """What a client is told: a gRPC code and a message."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Batcher:
    """Merges the rows of waiting requests, pads them with copies of the first row, and splits the answers."""

    def __init__(self, run, limits):
        self.run, self.limits, self.waiting = run, limits, queue.Queue()
        self.most = 0  # requests in a batch
        threading.Thread(target=self.work, daemon=True).start()

    def __call__(self, feeds, fetches):
        answer = futures.Future()
        self.waiting.put((feeds, fetches, answer))
        return answer.result()

    def work(self):
        held = None
        while True:
            merged = [held or self.waiting.get()]
            held = None
            rows = len(next(iter(merged[0][0].values())))
            with contextlib.suppress(queue.Empty):
                while True:
                    item = self.waiting.get(timeout=self.limits["timeout"])
                    size = len(next(iter(item[0].values())))
                    if rows + size > self.limits["largest"]:
                        held = item
                        break
                    merged.append(item)
                    rows += size
            self.answer(merged, rows)

    def answer(self, merged, rows):
        self.most = max(self.most, len(merged))
        padding = next(size for size in self.limits["sizes"] if size >= rows) - rows
        try:
            feeds = {name: np.concatenate([item[0][name] for item in merged]) for name in merged[0][0]}
            feeds = {name: np.concatenate([value, *[value[:1]] * padding]) for name, value in feeds.items()}
            outputs = self.run(feeds, merged[0][1])
        except (RuntimeError, ValueError) as error:
            for _, _, answer in merged:
                answer.set_exception(error)
            return
        start = 0
        for feeds, _, answer in merged:
            stop = start + len(next(iter(feeds.values())))
            answer.set_result({alias: value[start:stop] for alias, value in outputs.items()})
            start = stop


class Version:
    """One loaded version: its signatures, and how to run them."""

    def __init__(self, folder, limits):
        saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
        self.number, self.signatures = int(folder.name), saved.meta_graphs[0].signature_def
        self.single, self.limits = runners.c_api_runner(str(folder)), limits
        self.batchers, self.lock = {}, threading.Lock()
        for signature, arrays in warmup.read(folder / "assets.extra" / warmup.FILE):
            self.run(signature, arrays)

    def run(self, name, arrays):
        if name not in self.signatures:
            raise ServerError(grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
        signature = self.signatures[name]
        if set(arrays) != set(signature.inputs):
            raise ServerError(
                grpc.StatusCode.INVALID_ARGUMENT, f"inputs are {sorted(arrays)}, not {sorted(signature.inputs)}"
            )
        for alias, value in arrays.items():  # its type, but not its shape
            wanted = tf.dtypes.as_dtype(signature.inputs[alias].dtype)
            if wanted != tf.dtypes.as_dtype(value.dtype):
                raise ServerError(grpc.StatusCode.INVALID_ARGUMENT, f"{alias} is {value.dtype}, not {wanted.name}")
        feeds = {signature.inputs[alias].name: value for alias, value in arrays.items()}
        fetches = {alias: tensor.name for alias, tensor in signature.outputs.items()}
        try:
            return self.runner(name, feeds)(feeds, fetches)
        except (RuntimeError, ValueError) as error:
            raise ServerError(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from error

    def runner(self, name, feeds):
        if not self.limits:
            return self.single
        if len({len(value) for value in feeds.values()}) != 1:
            raise ServerError(
                grpc.StatusCode.INVALID_ARGUMENT, "Batching input tensors must have equal 0th-dimension size"
            )
        if len(next(iter(feeds.values()))) > self.limits["largest"]:
            raise ServerError(grpc.StatusCode.INVALID_ARGUMENT, "Task size is larger than maximum input batch size")
        with self.lock:
            if name not in self.batchers:
                self.batchers[name] = Batcher(self.single, self.limits)
            return self.batchers[name]


class Models:
    """The models of a models.config, each at its newest version."""

    def __init__(self, config, limits, poll_seconds):
        self.limits, self.versions, self.stopped = limits, {}, threading.Event()
        parsed = text_format.Parse(Path(config).read_text(), model_server_config_pb2.ModelServerConfig())
        self.folders = {model.name: Path(model.base_path) for model in parsed.model_config_list.config}
        self.poll()
        threading.Thread(target=self.poll_forever, args=[poll_seconds], daemon=True).start()

    def poll_forever(self, seconds):
        while not self.stopped.wait(seconds):
            self.poll()

    def poll(self):
        for name, folder in self.folders.items():
            newest = max((path for path in folder.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
            if name not in self.versions or self.versions[name].number != int(newest.name):
                self.versions[name] = Version(newest, self.limits)

    def __getitem__(self, name):
        if name not in self.versions:
            raise ServerError(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: Latest({name})")
        return self.versions[name]
