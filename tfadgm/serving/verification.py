"""Whether an exported model does on a server what it does here. TF Serving's loader is driven, not its server.

A graph is scanned, then loaded in two fresh processes: in a Session, and through the C API without TensorFlow's
Python. Both answer the same requests, whole, split, permuted, merged and padded, as a server would pass them on.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tensorflow.core.protobuf import meta_graph_pb2

from tfadgm.errors import VerificationError, line
from tfadgm.serving import contract, runners, warmup
from tfadgm.serving.contract import expect
from tfadgm.serving.runners import Arrays
from tfadgm.serving.servable import Servable
from tfadgm.serving.signatures import SIGNATURES, ask

INFO = Path("assets.extra") / "model_info.json"
# Of the largest magnitude of an output, at least 1. Sums of float32 in another order differ by up to about 1e-6; the
# mistakes that are looked for (noise that depends on the neighbours, a wrong weight) begin at 1e-3.
TOLERANCE = 1e-5
ROWS = 17
SESSION, C_API = ("session",), ("c_api",)


class LoaderMissing(VerificationError):  # noqa: N818  it is no fault of the model
    """This machine has no library to load a model with."""


class Call(NamedTuple):
    """A request: `rows` tells which rows of the first call of its signature it repeats, if it does."""

    signature: str
    arrays: Arrays
    rows: np.ndarray | None


def verify(path: str | Path, servable: Servable | None = None) -> dict[str, Any]:
    """Checks the exported version in the folder `path` and returns what was found.

    Args:
        path: the folder that holds saved_model.pb.
        servable: what was exported, to compare the answers with; without it the processes are compared with each other.

    Raises:
        VerificationError: telling the first thing that does not hold.
    """
    start = time.perf_counter()
    path = Path(path)
    try:
        info = json.loads((path / INFO).read_text())
        graph, parameters, content = contract.read_graph(path), info["parameters"], info["content_sha256"]
        names = sorted(contract.signatures_of(info))
        calls = make_calls(warmup.read(path / INFO.parent / warmup.FILE))
        stored = contract.stored_numbers(path)
    except Exception as error:  # whatever JSON, protobuf and TensorFlow's readers raise on damaged files
        reason = f"{type(error).__name__}: {line(error)}"
        raise VerificationError(f"Expected an exported model in {path}. Received: {reason}") from error
    contract.check_operations(graph)
    contract.check_signatures(graph, info)
    expect("the content that model_info.json names", contract.content_hash(path), content)
    expect("warm-up requests of every signature", sorted({call.signature for call in calls}), names)
    runs, left_out = [SESSION, C_API], {}
    try:
        answers = answer(path, graph, calls, runs)
    except LoaderMissing as reason:
        runs, left_out = [SESSION], {"left_out": str(reason)}
        answers = answer(path, graph, calls, runs)
    differences = compare(calls, answers, servable)
    expect("as many stored numbers as parameters", stored, parameters)
    return {
        "signatures": names,
        "requests": len(calls),
        "loaders": [kind for kind, *_ in runs],
        **left_out,
        "largest_difference": differences,
        "stored_numbers": stored,
        "bytes": sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
        "seconds": round(time.perf_counter() - start, 1),
    }


def make_calls(requests: list[tuple[str, Arrays]]) -> list[Call]:
    """Rows of every signature's largest request in every way that a server may pass them on, then all requests."""
    first = np.arange(ROWS)
    order = np.random.default_rng(0).permutation(ROWS)
    padded = np.concatenate([first[3:5], first[8:9], np.repeat(first[3:4], 5)])  # two clients merged, padded to 8
    merged = (first, first[:1], first[:3], order, first[:5], first[5:], padded, np.repeat(first[:1], 4))
    alone = (first, first[:1], first[:3])  # a row depends on its place, not on its neighbours
    calls = [
        Call(name, SIGNATURES[name].rows(arrays, rows), rows)
        for name, arrays in dict(requests).items()
        for rows in (merged if SIGNATURES[name].merges else alone)
    ]
    return calls + [Call(name, arrays, None) for name, arrays in requests]


def answer(
    path: Path, graph: meta_graph_pb2.MetaGraphDef, calls: list[Call], runs: Sequence[Sequence[str]] = (SESSION, C_API)
) -> list[list[Arrays]]:
    """The answers to `calls` of every one of `runs`, arguments of `runners.py`, each in a fresh process.

    Raises:
        LoaderMissing: if there is no library for one of them.
        VerificationError: if the model does not load or run.
    """
    definitions = contract.signature_definitions(graph)
    asked = []
    for call in calls:
        definition = definitions[call.signature]
        feeds = {definition.inputs[key].name: value for key, value in call.arrays.items()}
        asked.append((feeds, {alias: tensor.name for alias, tensor in definition.outputs.items()}))
    job = str(path), sorted(contract.operations(graph)), asked
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "job.pickle").write_bytes(pickle.dumps(job))
        _run_side_by_side(runs, folder)
        return [pickle.loads((folder / f"{kind}.pickle").read_bytes()) for kind, *_ in runs]


def _run_side_by_side(runs: Sequence[Sequence[str]], folder: Path) -> None:
    processes: list[subprocess.Popen] = []
    try:
        for kind, *rest in runs:
            command = [sys.executable, runners.__file__, kind, str(folder), *rest]
            pipes: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
            processes.append(subprocess.Popen(command, text=True, errors="replace", **pipes))
        told = [process.communicate()[1].strip().splitlines() for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    for (kind, *_), process, lines in zip(runs, processes, told, strict=True):
        if process.returncode:
            reason = (lines or [f"exit status {process.returncode}"])[-1]
            error = LoaderMissing if process.returncode == runners.NO_LIBRARY else VerificationError
            raise error(f"Expected the model to load and run ({kind}). Received: {reason}")


def compare(calls: list[Call], answers: list[list[Arrays]], servable: Servable | None = None) -> dict[str, float]:
    """The largest differences, relative to the largest magnitude of an output, at least 1.

    `keras`: of an answer from the Keras model's. `batch`: of a row from the same row in another batch. `processes`: of
    every process from the first.
    """
    first = {call.signature: call.arrays for call in reversed(calls) if call.rows is not None}
    keras = {name: ask(servable, name, arrays) for name, arrays in first.items()} if servable else {}
    largest = {"batch": 0.0, "processes": 0.0} | ({"keras": 0.0} if servable else {})
    for number, found in enumerate(answers):
        batch: dict[str, Arrays] = {}
        for call, outputs, others in zip(calls, found, answers[0], strict=True):
            key = next(iter(SIGNATURES[call.signature].inputs))  # of a table, every column has rows
            size = len(call.arrays[key] if key in call.arrays else next(iter(call.arrays.values())))
            batch.setdefault(call.signature, outputs)
            for alias, value in outputs.items():
                what = f"{alias} of {call.signature} (process {number + 1})"
                expect(f"a batch of {size} in dimension 0 of {what}", value.shape[0], size)
                if value.dtype.kind == "f" and not np.isfinite(value).all():
                    raise VerificationError(f"Expected finite {what}. Received NaN or infinity")
                wanted = {"processes": others[alias]}
                if call.rows is not None:
                    whole = {"batch": batch} | ({"keras": keras} if servable else {})
                    wanted |= {name: of[call.signature][alias][call.rows] for name, of in whole.items()}
                for name, expected in wanted.items():
                    largest[name] = max(largest[name], _difference(f"{what}, {name}", value, expected))
    return largest


def _difference(what: str, received: np.ndarray, expected: np.ndarray) -> float:
    if received.dtype.kind != "f":
        expect(what, received.tolist(), expected.tolist())
        return 0.0
    largest = float(np.abs(received - expected).max() / max(1.0, np.abs(expected).max()))
    if not largest <= TOLERANCE:
        raise VerificationError(f"Expected {what} to agree within {TOLERANCE}. Received a difference of {largest:.1e}")
    return largest
