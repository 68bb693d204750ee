"""Runs an exported model in a process of its own, the two ways a server's loader can be driven.

    python runners.py session FOLDER              TensorFlow's Session, which is what TF Serving runs
    python runners.py c_api FOLDER [LIBRARIES]    the C API through ctypes, without TensorFlow's Python

FOLDER holds job.json and inputs.npz; the answers go to session.npz or c_api.npz there. LIBRARIES is the folder of
another release's libraries, by default that of the installed one. This file stands alone: it is started by its path,
and imports nothing of tfadgm and, for the C API, nothing of TensorFlow.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
Run = Callable[[Arrays, dict[str, str]], Arrays]  # feeds by tensor name, fetches alias -> tensor name

TYPES = {1: np.float32, 3: np.int32, 4: np.uint8, 7: np.object_, 9: np.int64}  # tensorflow/core/framework/types.proto
NUMBERS = {dtype: number for number, dtype in TYPES.items()}
STRING = 7
STRING_BYTES = 24  # of a TF_TString


def save(path: Path, arrays: Arrays) -> None:
    """Arrays of numbers, or of bytes objects, without pickle."""
    flat: Arrays = {}
    for key, array in arrays.items():
        if array.dtype == np.object_:
            flat[f"{key}|bytes"] = np.frombuffer(b"".join(array.ravel()), np.uint8)
            flat[f"{key}|lengths"] = np.array([len(value) for value in array.ravel()], np.int64).reshape(array.shape)
        else:
            flat[key] = array
    np.savez(path, **flat)  # type: ignore[arg-type]


def load(path: Path) -> Arrays:
    """What `save` wrote."""
    arrays: Arrays = {}
    with np.load(path, allow_pickle=False) as file:
        flat = {key: file[key] for key in file.files}
    for key, array in flat.items():
        name, _, part = key.partition("|")
        if part == "lengths":
            ends = np.cumsum(array.ravel())
            content = flat[f"{name}|bytes"].tobytes()
            strings = [content[end - length : end] for end, length in zip(ends, array.ravel(), strict=True)]
            arrays[name] = np.array([*strings, None], np.object_)[:-1].reshape(array.shape)
        elif not part:
            arrays[key] = array
    return arrays


def session_runner(model: str) -> Run:
    """Loads `model` as TF Serving does and returns how to run it."""
    import tensorflow as tf

    tf.compat.v1.disable_eager_execution()
    session = tf.compat.v1.Session(graph=tf.Graph())
    tf.compat.v1.saved_model.load(session, ["serve"], model)
    return lambda feeds, fetches: session.run(fetches, feeds)


def c_api_runner(model: str, libraries: Path | None = None) -> Run:
    """The same through `libtensorflow_cc`, of the installed wheel or in the folder `libraries`."""
    return _Library(libraries or _installed()).runner(model)


def cpu_kernels(operations: list[str], libraries: Path | None = None) -> dict[str, bool]:
    """Whether each operation has a kernel for the CPU."""
    library = _Library(libraries or _installed())
    return {name: library.has_cpu_kernel(name) for name in operations}


def _installed() -> Path:
    spec = importlib.util.find_spec("tensorflow")  # finds it without importing it
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("Expected TensorFlow to be installed. Received none")
    return Path(spec.submodule_search_locations[0])


class _Buffer(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("deallocator", ctypes.c_void_p),
    ]


class _Output(ctypes.Structure):
    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


class _Library:
    """The few functions of TensorFlow's C API that serving needs (tensorflow/c/c_api.h)."""

    pointers = (
        "TF_NewStatus", "TF_NewGraph", "TF_NewSessionOptions", "TF_LoadSessionFromSavedModel", "TF_AllocateTensor",
        "TF_TensorData", "TF_GraphOperationByName", "TF_GetRegisteredKernelsForOp", "TF_StringGetDataPointer",
    )  # fmt: skip
    sizes = "TF_TensorByteSize", "TF_StringGetSize", "TF_Dim"

    def __init__(self, folder: Path) -> None:
        ctypes.CDLL(str(folder / "libtensorflow_framework.so.2"))
        self.c = ctypes.CDLL(str(folder / "libtensorflow_cc.so.2"))
        for names, kind in ((self.pointers, ctypes.c_void_p), (self.sizes, ctypes.c_size_t)):
            for name in names:
                getattr(self.c, name).restype = kind
        self.c.TF_Message.restype = ctypes.c_char_p

    def status(self) -> ctypes.c_void_p:
        return ctypes.c_void_p(self.c.TF_NewStatus())

    def check(self, status: ctypes.c_void_p) -> None:
        """Raises what a call left in its `status`, which ends here."""
        message = self.c.TF_Message(status).decode(errors="replace") if self.c.TF_GetCode(status) else None
        self.c.TF_DeleteStatus(status)
        if message is not None:
            raise RuntimeError(message)

    def has_cpu_kernel(self, operation: str) -> bool:
        status = self.status()
        kernels = self.c.TF_GetRegisteredKernelsForOp(operation.encode(), status)
        self.check(status)
        buffer = ctypes.cast(kernels, ctypes.POINTER(_Buffer)).contents
        found = buffer.data and b"CPU" in ctypes.string_at(buffer.data, buffer.length)
        self.c.TF_DeleteBuffer(ctypes.c_void_p(kernels))
        return bool(found)

    def runner(self, model: str) -> Run:
        graph = ctypes.c_void_p(self.c.TF_NewGraph())
        options = ctypes.c_void_p(self.c.TF_NewSessionOptions())
        tags = (ctypes.c_char_p * 1)(b"serve")
        status = self.status()
        session = self.c.TF_LoadSessionFromSavedModel(options, None, model.encode(), tags, 1, graph, None, status)
        self.check(status)

        def output(name: str) -> _Output:
            operation, _, index = name.partition(":")
            found = self.c.TF_GraphOperationByName(graph, operation.encode())
            if not found:
                raise RuntimeError(f"Expected the tensor {name} in the graph. Received none")
            return _Output(found, int(index))

        def run(feeds: Arrays, fetches: dict[str, str]) -> Arrays:
            inputs = (_Output * len(feeds))(*map(output, feeds))
            values = (ctypes.c_void_p * len(feeds))(*map(self.tensor, feeds.values()))
            outputs = (_Output * len(fetches))(*map(output, fetches.values()))
            answers = (ctypes.c_void_p * len(fetches))()
            status = self.status()
            self.c.TF_SessionRun(
                ctypes.c_void_p(session), None, inputs, values, len(feeds), outputs, answers, len(fetches), None, 0,
                None, status,
            )  # fmt: skip
            for value in values:
                self.c.TF_DeleteTensor(ctypes.c_void_p(value))
            self.check(status)
            return {alias: self.array(answer) for alias, answer in zip(fetches, answers, strict=True)}

        return run

    def tensor(self, array: np.ndarray) -> int:
        """A TF_Tensor that holds a copy of `array`."""
        kind = NUMBERS[array.dtype.type]
        size = array.size * STRING_BYTES if kind == STRING else array.nbytes
        dimensions = (ctypes.c_int64 * array.ndim)(*array.shape)
        tensor = self.c.TF_AllocateTensor(kind, dimensions, array.ndim, ctypes.c_size_t(size))
        data = self.c.TF_TensorData(ctypes.c_void_p(tensor))
        if kind == STRING:
            for index, value in enumerate(array.ravel()):
                place = ctypes.c_void_p(data + index * STRING_BYTES)
                self.c.TF_StringInit(place)
                self.c.TF_StringCopy(place, value, ctypes.c_size_t(len(value)))
        else:
            ctypes.memmove(data, np.ascontiguousarray(array).ctypes.data, size)
        return tensor

    def array(self, answer: int) -> np.ndarray:
        """A copy of a TF_Tensor, which is then deleted."""
        tensor = ctypes.c_void_p(answer)
        dtype = TYPES[self.c.TF_TensorType(tensor)]
        shape = [self.c.TF_Dim(tensor, axis) for axis in range(self.c.TF_NumDims(tensor))]
        data, size = self.c.TF_TensorData(tensor), self.c.TF_TensorByteSize(tensor)
        if dtype == np.object_:
            array = np.empty(shape, np.object_)
            for index in range(array.size):
                place = ctypes.c_void_p(data + index * STRING_BYTES)
                length = self.c.TF_StringGetSize(place)
                array.flat[index] = ctypes.string_at(self.c.TF_StringGetDataPointer(place), length)
        else:
            array = np.frombuffer(ctypes.string_at(data, size), dtype).reshape(shape).copy()
        self.c.TF_DeleteTensor(tensor)
        return array


def main(kind: str, folder: Path, libraries: Path | None = None) -> None:
    """Answers every call of the job in `folder`."""
    job: dict[str, Any] = json.loads((folder / "job.json").read_text())
    inputs = load(folder / "inputs.npz")
    run = session_runner(job["model"]) if kind == "session" else c_api_runner(job["model"], libraries)
    outputs: Arrays = {}
    for index, call in enumerate(job["calls"]):
        feeds = {tensor: inputs[array] for tensor, array in call["feeds"].items()}
        answers = run(feeds, call["fetches"])
        outputs |= {f"{index}/{alias}": np.asarray(answer) for alias, answer in answers.items()}
    if kind == "c_api":
        kernels = cpu_kernels(job["operations"], libraries)
        outputs["without_cpu_kernel"] = np.array(
            [name.encode() for name, found in kernels.items() if not found] + [None], np.object_
        )[:-1]
    if kind == "c_api" and "tensorflow" in sys.modules:
        raise RuntimeError("Expected a process without TensorFlow's Python. Received one with it")
    save(folder / f"{kind}.npz", outputs)


if __name__ == "__main__":
    try:
        main(sys.argv[1], *map(Path, sys.argv[2:]))
    except Exception as reason:  # whatever the loader and the graph raise, in one line
        sys.exit(f"{type(reason).__name__}: {' '.join(str(reason).split())[:500]}")
