"""Labels of new rows: python -m tfadgm.predict RUN_DIR new.csv --output labels.csv.

A row of the file is a row of the data, with the columns of `tfadgm.evaluation.predictions`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tfadgm.cli import Parser, exit_status, path
from tfadgm.data import images
from tfadgm.data.arrays import read_points
from tfadgm.data.sources import TABLES
from tfadgm.errors import InputError
from tfadgm.evaluation.calibration import calibrate
from tfadgm.evaluation.predictions import BATCH, write_predictions
from tfadgm.models import Classifier
from tfadgm.run import Run


def predict(run_dir: Path, source: Path, output: Path) -> int:
    """Labels the rows of `source`, a table or arrays like those of training, by the run `run_dir`; how many rows.

    Raises:
        InputError: if the run is not finished or no classifier, or the data do not fit it. No file is then left.
    """
    run = Run(run_dir)
    report, model = run.report, run.load_model()
    if not isinstance(model, Classifier):
        raise InputError(f"Expected the run of a classifier. Received {run_dir}, of the model {report['model']}")
    if None in (report.get("temperature"), report.get("familiarity_quantiles")):  # of a run of version 0.1
        report |= {"temperature": calibrate(model)["temperature"], "familiarity_quantiles": []}
    return write_predictions(output, model, read_batches(model, source), report)


def read_batches(model: Classifier, source: Path) -> Iterator[tuple[list[str], np.ndarray]]:
    """Ids and points of a file, a batch at a time, checked to fit `model`."""
    is_table = source.suffix.lower() in TABLES
    if is_table != bool(model.columns) or (source.is_dir() and not model.resizes):
        kind = "a table" if model.columns else "a folder of images" if model.resizes else "arrays (.npz, .npy)"
        raise InputError(f"Expected {kind} like the data of training. Received: {source}")
    if source.is_dir():
        yield from images.batches(source, model.feature_shape)
        return
    first = 0
    for x in _coded(model, source) if is_table else [read_points(source)]:
        if x.shape[1:] != model.feature_shape:
            raise InputError(f"Expected features of shape {model.feature_shape} in {source}. Received: {x.shape[1:]}")
        for start in range(0, len(x), BATCH):
            rows = x[start : start + BATCH]
            yield list(map(str, range(first, first + len(rows)))), rows
            first += len(rows)


def _coded(model: Classifier, source: Path) -> Iterator[np.ndarray]:
    from tfadgm.data.schema import Schema
    from tfadgm.data.table import read_chunks

    schema = Schema.from_json(model.columns or [])
    for frame in read_chunks(source):
        yield schema.code(frame, str(source))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Parser(prog="tfadgm predict", description="Labels new rows by a trained run.")
    parser.add_argument("run_dir", metavar="RUN_DIR", type=path, help="folder of a finished run of train.py")
    parser.add_argument("source", metavar="DATA", type=path, help="rows like those of training: a table, .npz or .npy")
    parser.add_argument("--output", required=True, metavar="FILE", type=path, help="CSV file of the labels")
    flags = parser.parse_args(arguments)
    rows = predict(flags.run_dir, flags.source, flags.output)
    print(f"{rows} rows labeled: {flags.output}")


if __name__ == "__main__":
    sys.exit(exit_status("tfadgm predict", main))
