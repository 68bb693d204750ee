"""The user's validation set, which the objective `val_error` judges trials by: a file like the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tfadgm.data import images
from tfadgm.data.arrays import checked_points
from tfadgm.data.classes import Classes
from tfadgm.data.dataset import UNLABELED, Dataset
from tfadgm.data.sources import TABLES
from tfadgm.errors import InputError, line

Points = tuple[np.ndarray, np.ndarray]  # x [V, *features] and classes [V]


def read_validation(objective: str, path: Path | None, dataset: Dataset, target: str | None) -> Points | None:
    """The points in `path`, arrays x and y, a table with the column `target`, or a folder with one of each class.

    Raises:
        InputError: naming the file, if it does not fit `dataset` or a row has no label.
    """
    if (objective == "val_error") != (path is not None):
        raise InputError("Expected --objective val_error together with --validation FILE. Received one of them")
    if path is None:
        return None
    read = _table if dataset.schema is not None else _images if path.is_dir() else _arrays
    try:
        if (path.suffix.lower() in TABLES) != (dataset.schema is not None):
            raise InputError("Expected a table where the data are one, and nowhere else")
        x, y = read(path, dataset, target)
        return x, _classes(y, dataset.class_names)
    except InputError as error:
        raise InputError(f"In {path}: {error}") from None
    except Exception as error:  # NumPy and zipfile raise many kinds for a file that is damaged
        raise InputError(
            f"Expected arrays x [N, {', '.join(map(str, dataset.x.shape[1:]))}] and y [N] in {path}. "
            f"Received: {type(error).__name__}: {error}"
        ) from error


def _arrays(path: Path, dataset: Dataset, _: str | None) -> tuple[np.ndarray, Any]:
    with np.load(path, allow_pickle=False) as file:
        x, y = checked_points("x", file["x"]), file["y"]
    if (x.dtype == np.uint8) != (dataset.x.dtype == np.uint8) or y.shape != x.shape[:1]:
        raise InputError(
            f"Expected x of {dataset.x.dtype}, like the training points, and as many y. "
            f"Received: {x.dtype} {x.shape} and y {y.shape}"
        )
    if x.shape[1:] != dataset.x.shape[1:]:
        raise InputError(
            f"Expected x of features {dataset.x.shape[1:]}, like the training points. Received: {x.shape[1:]}"
        )
    return x, y


def _table(path: Path, dataset: Dataset, target: str | None) -> tuple[np.ndarray, Any]:
    from tfadgm.data.table import read_table

    frame, schema = read_table(path), dataset.schema
    if target not in frame.columns:
        raise InputError(f"Expected the column {target!r} of labels. Received: {line(', '.join(frame.columns))}")
    assert schema is not None
    return schema.code(frame, str(path)), frame[target].to_numpy(object)


def _images(path: Path, dataset: Dataset, _: str | None) -> tuple[np.ndarray, Any]:
    if not dataset.resized:
        raise InputError("Expected arrays x and y. Received a folder")
    files = images.list_images(path)
    x, _kept, skipped = images.read_images(files, dataset.x.shape[1:])
    if skipped:
        raise InputError(f"Expected images that can be read. Received: {skipped[0]}")
    return x, np.array([file.relative_to(path).parts[0] for file in files])


def _classes(y: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """The indices of classes, [V], that are told by name, or by index where no name is a number itself."""
    codes: dict[int | str, int] = {name: index for index, name in enumerate(names)}
    if y.dtype.kind in "ui" and not any(name.lstrip("-").isdigit() for name in names):
        codes = {index: index for index in range(len(names))}
    found = Classes(names, codes).encode(y)
    if (found == UNLABELED).any():
        raise InputError(f"Expected a label in every row. Received none in row {np.argmax(found == UNLABELED)}")
    return found
