"""What a served prediction costs, beside a plain classifier of the same size exported the same way.

    python -m experiments serving RUN_DIR     about two minutes on two free cores
    python -m experiments serving             the tables of what has been measured

RUN_DIR is a finished run, of MNIST say. Every model answers in a Session, which is what TF Serving runs; they take
turns within one process, so that their ratios are of one machine at one time. `python -m experiments trust` measures
how good the answers are. Results go to results/serving.json, the tables of both to results/serving.md.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments import serving_tables
from experiments.grid import timed
from experiments.results import origin, parser, save
from tfadgm.cli import path
from tfadgm.provenance import commit
from tfadgm.run import Run

SAMPLES = 1, 4, 8, 16, 64
CALLS = {1: 2000, 256: 60}  # by size of batch
TURNS = 10
EXPORTS = 3

Ask = Callable[[np.ndarray], Any]


def main(name: str, arguments: Sequence[str]) -> None:
    flags = parser(name, __doc__)
    flags.add_argument("run_dir", nargs="?", metavar="RUN_DIR", type=path)
    run_dir = flags.parse_args(arguments).run_dir
    if run_dir:
        told = {**origin(f"{name} {run_dir}"), "commit": commit()}
        save(name, {**told, "export_seconds": export_seconds(run_dir.resolve()), "cases": speed(run_dir)})
    serving_tables.write()


def export_seconds(run_dir: Path) -> list[float]:
    """Seconds of whole `export.py` processes: load, calibrate, export, verify, warm-up requests."""
    seconds = []
    for _ in range(EXPORTS):
        with tempfile.TemporaryDirectory() as output:
            command = [sys.executable, "export.py", str(run_dir), "--output", output]
            seconds.append(round(timed(command, stdout=subprocess.DEVNULL)[0], 1))
    return seconds


def speed(run_dir: Path) -> list[dict[str, Any]]:
    """Milliseconds a call by size of batch, of every model."""
    from tfadgm.serving.servable import Servable
    from tfadgm.serving.signatures import write

    model: Any = Run(run_dir).load_model()
    servable = Servable(model, tuple(map(str, range(model.classes))), 1.5)
    rows = np.random.default_rng(0).integers(0, 256, [max(CALLS), *model.feature_shape]).astype(np.float32)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs: dict[str, Ask] = {"plain": _session(export_plain(model, folder / "plain"))}
        for samples in SAMPLES:
            model.prediction_samples = samples
            write(servable, folder / str(samples))
            runs[f"S = {samples}"] = _session(folder / str(samples))
        model.prediction_samples = 16
        runs["Keras predict, S = 16"] = lambda x: model.predict(x, batch_size=len(x), verbose=0)
        return [case | {"batch": size} for size in CALLS for case in _take_turns(runs, rows[:size], CALLS[size])]


def export_plain(model: Any, folder: Path) -> Path:
    """A plain classifier with the hidden layers of `model`, exported the same way, answering probabilities."""
    import keras
    import tensorflow as tf

    network = model.categorical(model.classes, model.scaling.units)
    network.build()

    def predict(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": tf.nn.softmax(network(model.scaling(x)))}

    archive = keras.export.ExportArchive()
    spec = tf.TensorSpec([None, *model.feature_shape], tf.float32, name="x")
    archive.add_endpoint("serving_default", predict, input_signature=[spec])
    archive.write_out(str(folder), verbose=False)
    return folder


def _session(folder: Path) -> Ask:
    """Asks for all outputs of the default signature of an export."""
    import tensorflow as tf

    from tfadgm.serving import contract

    definition = contract.read_graph(folder).signature_def["serving_default"]
    with tf.Graph().as_default():
        session = tf.compat.v1.Session()
        tf.compat.v1.saved_model.load(session, ["serve"], str(folder))
    fetches = [tensor.name for tensor in definition.outputs.values()]
    return session.make_callable(fetches, feed_list=[definition.inputs["x"].name])


def _take_turns(runs: dict[str, Ask], x: np.ndarray, calls: int) -> list[dict[str, Any]]:
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        for _ in range(10):
            run(x)
    for _ in range(TURNS):
        for name, run in runs.items():
            for _ in range(max(2, calls // TURNS // (10 if name.startswith("Keras") else 1))):
                start = time.perf_counter()
                run(x)
                taken[name].append(1000 * (time.perf_counter() - start))
    return [
        {"model": name, "p50_ms": round(statistics.median(ms), 3), "p99_ms": round(float(np.quantile(ms, 0.99)), 3)}
        for name, ms in taken.items()
    ]
