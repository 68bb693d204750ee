"""Whether an exported model does on a server what it does here. TF Serving's loader is driven, not its server.

A graph is scanned, then loaded in two fresh processes: in a Session, and through the C API without TensorFlow's
Python. Both answer the same requests, whole, split, permuted, merged and padded, as a server would pass them on.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from tfadgm.errors import VerificationError
from tfadgm.serving import contract, runners, warmup
from tfadgm.serving.contract import expect
from tfadgm.serving.runners import Arrays
from tfadgm.serving.signatures import Servable

INFO = Path("assets.extra") / "model_info.json"
# Of the largest magnitude of an output, at least 1. Sums of float32 in another order differ by up to about 1e-6; the
# mistakes that are looked for (noise that depends on the neighbours, a wrong weight) begin at 1e-3.
TOLERANCE = 1e-5
ROWS = 17
SESSION, C_API = ("session",), ("c_api",)


class Call(NamedTuple):
    """A request: `rows` tells which rows of the first call of its signature it repeats, if it does."""

    signature: str
    arrays: Arrays
    rows: np.ndarray | None

    @property
    def batch(self) -> int:
        return len(next(value for key, value in self.arrays.items() if key != "seed"))


def verify(path: str | Path, servable: Servable | None = None) -> dict[str, Any]:
    """Checks the exported version in the folder `path` and returns what was found.

    Args:
        path: the folder that holds saved_model.pb.
        servable: what was exported, to compare the answers with; without it both processes are compared with
            each other.

    Raises:
        VerificationError: telling the first thing that does not hold.
    """
    start = time.perf_counter()
    path = Path(path)
    try:
        info = json.loads((path / INFO).read_text())
        signatures, parameters, content = contract.signatures(info), info["parameters"], info["content_sha256"]
        graph = contract.read_graph(path)
        calls = make_calls(warmup.read(path / INFO.parent / warmup.FILE))
        stored = contract.stored_numbers(path)
    except Exception as error:  # whatever JSON, protobuf and TensorFlow's readers raise on damaged files
        reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        raise VerificationError(f"Expected an exported model in {path}. Received: {reason}") from error
    contract.check_operations(graph)
    contract.check_signatures(graph, signatures)
    expect("the content that model_info.json names", contract.content_hash(path), content)
    expect("warm-up requests of every signature", sorted({call.signature for call in calls}), sorted(signatures))
    differences = compare(calls, answer(path, graph, calls), servable)
    expect("as many stored numbers as parameters", stored, parameters)
    return {
        "signatures": sorted(signatures),
        "requests": len(calls),
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
    calls = []
    for signature, arrays in dict(requests).items():
        if signature == "generate":  # a row depends on its place, not on its neighbours
            for size in (ROWS, 1, 3):
                label = np.resize(arrays["label"], size)
                calls.append(Call(signature, {"label": label, "seed": arrays["seed"]}, np.arange(size)))
            continue
        for rows in (first, first[:1], first[:3], order, first[:5], first[5:], padded, np.repeat(first[:1], 4)):
            calls.append(Call(signature, {key: value[rows] for key, value in arrays.items()}, rows))
    return calls + [Call(signature, arrays, None) for signature, arrays in requests]


def answer(
    path: Path, graph: meta_graph_pb2.MetaGraphDef, calls: list[Call], runs: Sequence[Sequence[str]] = (SESSION, C_API)
) -> list[list[Arrays]]:
    """The answers to `calls` of every one of `runs`, arguments of `runners.py`, each in a fresh process."""
    signatures = contract.signature_definitions(graph)
    job: dict[str, Any] = {"model": str(path), "operations": sorted(contract.operations(graph)), "calls": []}
    inputs: Arrays = {}
    for index, call in enumerate(calls):
        definition = signatures[call.signature]
        feeds = {definition.inputs[key].name: f"{index}/{key}" for key in call.arrays}
        fetches = {alias: tensor.name for alias, tensor in definition.outputs.items()}
        inputs |= {f"{index}/{key}": value for key, value in call.arrays.items()}
        job["calls"].append({"feeds": feeds, "fetches": fetches})
    answers = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runners.save(folder / "inputs.npz", inputs)
        (folder / "job.json").write_text(json.dumps(job))
        _run_side_by_side(runs, folder)
        for kind, *_ in runs:
            found = runners.load(folder / f"{kind}.npz")
            missing = found.pop("without_cpu_kernel", np.empty(0, np.object_))
            expect("no operation without a kernel for the CPU", [name.decode() for name in missing], [])
            answers.append(
                [
                    {alias: found[f"{index}/{alias}"] for alias in call["fetches"]}
                    for index, call in enumerate(job["calls"])
                ]
            )
    return answers


def _run_side_by_side(runs: Sequence[Sequence[str]], folder: Path) -> None:
    processes: list[subprocess.Popen] = []
    try:
        for kind, *rest in runs:
            command = [sys.executable, runners.__file__, kind, str(folder), *rest]
            processes.append(
                subprocess.Popen(
                    command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
                )
            )
        told = [process.communicate()[1].strip().splitlines() for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    for (kind, *_), process, lines in zip(runs, processes, told, strict=True):
        if process.returncode:
            reason = (lines or [f"exit status {process.returncode}"])[-1]
            raise VerificationError(f"Expected the model to load and run ({kind}). Received: {reason}")


def compare(calls: list[Call], answers: list[list[Arrays]], servable: Servable | None = None) -> dict[str, float]:
    """The largest differences, relative to the largest magnitude of an output, at least 1.

    `keras`: of an answer from the Keras model's. `batch`: of a row from the same row in another batch. `processes`: of
    every process from the first.
    """
    references = [_reference(servable, call) if servable and call.rows is not None else None for call in calls]
    largest = {"batch": 0.0, "processes": 0.0} | ({"keras": 0.0} if servable else {})
    for number, found in enumerate(answers):
        whole: dict[str, Arrays] = {}
        for call, outputs, others, reference in zip(calls, found, answers[0], references, strict=True):
            for alias, value in outputs.items():
                what = f"{alias} of {call.signature} (process {number + 1})"
                expect(f"a batch of {call.batch} in dimension 0 of {what}", value.shape[0], call.batch)
                if value.dtype == np.float32 and not np.isfinite(value).all():
                    raise VerificationError(f"Expected finite {what}. Received NaN or infinity")
                pairs = {"processes": others[alias]}
                if call.rows is not None:
                    pairs["batch"] = whole.setdefault(call.signature, outputs)[alias][call.rows]
                if reference:
                    pairs["keras"] = reference[alias]
                for name, wanted in pairs.items():
                    largest[name] = max(largest[name], _difference(f"{what}, {name}", value, wanted))
    return largest


def _reference(servable: Servable, call: Call) -> Arrays:
    method, specs = servable.signatures[call.signature]
    tensors = [tf.constant(call.arrays[spec.name], spec.dtype) for spec in specs]
    return {alias: value.numpy() for alias, value in method(*tensors).items()}


def _difference(what: str, received: np.ndarray, expected: np.ndarray) -> float:
    if received.dtype != np.float32:
        expect(what, received.tolist(), expected.tolist())
        return 0.0
    largest = float(np.abs(received - expected).max() / max(1.0, np.abs(expected).max()))
    if not largest <= TOLERANCE:
        raise VerificationError(f"Expected {what} to agree within {TOLERANCE}. Received a difference of {largest:.1e}")
    return largest
