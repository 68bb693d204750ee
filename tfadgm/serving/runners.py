"""Runs an exported model in a process of its own, the two ways a server's loader can be driven.

    python runners.py session FOLDER              TensorFlow's Session, which is what TF Serving runs
    python runners.py c_api FOLDER [LIBRARIES]    the C API through ctypes, without TensorFlow's Python

FOLDER holds job.pickle of the program that started this one; the answers go to session.pickle or c_api.pickle there.
LIBRARIES is the folder of another release, by default of the installed one. This file is started by its path: it
imports nothing of tfadgm and, for the C API, nothing of TensorFlow.
"""

from __future__ import annotations

import ctypes
import importlib.util
import pickle
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
Runner = Callable[[Arrays, dict[str, str]], Arrays]  # feeds by tensor name, fetches alias -> tensor name

NO_LIBRARY = 3  # exit status where the C library cannot be loaded
TYPES = {
    1: np.float32,
    2: np.float64,
    3: np.int32,
    4: np.uint8,
    7: np.object_,
    9: np.int64,
    10: np.bool_,
}  # tensorflow/core/framework/types.proto
NUMBERS = {dtype: number for number, dtype in TYPES.items()}
CPU = b"\x12\x03CPU", b"\x12\x07DEFAULT"  # the device of a KernelDef, as protobuf writes it; XLA_CPU_JIT is another
STRING = 7
STRING_BYTES = 24  # of a TF_TString


class NoLibraryError(RuntimeError):
    """The C library is not there or cannot be loaded."""


def session_runner(model: str) -> Runner:
    """Loads `model` as TF Serving does and returns how to run it."""
    import tensorflow as tf

    tf.compat.v1.disable_eager_execution()
    session = tf.compat.v1.Session(graph=tf.Graph())
    tf.compat.v1.saved_model.load(session, ["serve"], model)
    return lambda feeds, fetches: session.run(fetches, feeds)


def c_api_runner(model: str, libraries: Path | None = None, operations: Iterable[str] = ()) -> Runner:
    """The same through `libtensorflow_cc`, of the installed wheel or in the folder `libraries`.

    Raises:
        NoLibraryError: if there is none that can be loaded.
        RuntimeError: if one of `operations` has no kernel for the CPU, or the model does not load.
    """
    installed = importlib.util.find_spec("tensorflow")  # finds it without importing it
    library = _Library(libraries or Path(installed.origin).parent)  # type: ignore[union-attr, arg-type]
    missing = [name for name in operations if not library.has_cpu_kernel(name)]
    if missing:
        raise RuntimeError(f"Expected a kernel for the CPU of every operation. Received none of {', '.join(missing)}")
    return library.runner(model)


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
        try:
            self.load(folder, "libtensorflow_framework")
            self.c = self.load(folder, "libtensorflow_cc")
            for names, kind in ((self.pointers, ctypes.c_void_p), (self.sizes, ctypes.c_size_t)):
                for name in names:
                    getattr(self.c, name).restype = kind
            self.c.TF_Message.restype = ctypes.c_char_p
        except (OSError, AttributeError) as error:
            raise NoLibraryError(f"Expected the C library of TensorFlow in {folder}. Received: {error}") from error

    def load(self, folder: Path, name: str) -> ctypes.CDLL:
        """The library, which has another name on macOS."""
        linux, mac = folder / f"{name}.so.2", folder / f"{name}.2.dylib"
        return ctypes.CDLL(str(mac if mac.exists() else linux))

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Calls a function whose last argument is a status, and raises what that tells."""
        status = ctypes.c_void_p(self.c.TF_NewStatus())
        found = function(*arguments, status)
        message = self.c.TF_Message(status).decode(errors="replace") if self.c.TF_GetCode(status) else None
        self.c.TF_DeleteStatus(status)
        if message is not None:
            raise RuntimeError(message)
        return found

    def has_cpu_kernel(self, operation: str) -> bool:
        kernels = self.call(self.c.TF_GetRegisteredKernelsForOp, operation.encode())
        data, length = ctypes.cast(kernels, ctypes.POINTER(ctypes.c_size_t))[:2]  # a TF_Buffer
        listed = ctypes.string_at(data, length) if data else b""
        found = any(device in listed for device in CPU)
        self.c.TF_DeleteBuffer(ctypes.c_void_p(kernels))
        return found

    def runner(self, model: str) -> Runner:
        graph = ctypes.c_void_p(self.c.TF_NewGraph())
        options = ctypes.c_void_p(self.c.TF_NewSessionOptions())
        tags = (ctypes.c_char_p * 1)(b"serve")
        session = self.call(self.c.TF_LoadSessionFromSavedModel, options, None, model.encode(), tags, 1, graph, None)

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
            try:
                self.call(
                    self.c.TF_SessionRun, ctypes.c_void_p(session), None, inputs, values, len(feeds), outputs, answers,
                    len(fetches), None, 0, None,
                )  # fmt: skip
            finally:
                for value in values:
                    self.c.TF_DeleteTensor(ctypes.c_void_p(value))
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
    model, operations, calls = pickle.loads((folder / "job.pickle").read_bytes())
    run = session_runner(model) if kind == "session" else c_api_runner(model, libraries, operations)
    answers = [run(feeds, fetches) for feeds, fetches in calls]
    if kind == "c_api" and "tensorflow" in sys.modules:
        raise RuntimeError("Expected a process without TensorFlow's Python. Received one with it")
    (folder / f"{kind}.pickle").write_bytes(pickle.dumps(answers))


if __name__ == "__main__":
    try:
        main(sys.argv[1], *map(Path, sys.argv[2:]))
    except Exception as reason:  # whatever the loader and the graph raise, in one line
        print(f"{type(reason).__name__}: {' '.join(str(reason).split())[:500]}", file=sys.stderr)
        sys.exit(NO_LIBRARY if isinstance(reason, NoLibraryError) else 1)
