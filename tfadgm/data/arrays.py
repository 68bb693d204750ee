"""The user's own arrays, from one .npz file that is not trusted.

    x_unlabeled  [U, *features]  numbers
    x_labeled    [L, *features]  numbers, L at least the number of classes; for a model of x alone not needed
    y_labeled    [L]             integers or strings
    x_test       [M, *features]  optional, with y_test
    y_test       [M]             optional, same kind as y_labeled
    class_names  [C]             optional, strings: class c is class_names[c]

Without `class_names` the classes are the sorted distinct values of `y_labeled`. With it, `y_labeled` holds
either names or indices 0 ... C-1. Without labels, `x_test` stands alone.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tfadgm.data.dataset import UNLABELED, Dataset
from tfadgm.errors import InputError, line

KEYS = ("x_unlabeled", "x_labeled", "y_labeled", "x_test", "y_test", "class_names")
MOST_CLASSES = 1000


def own_arrays(path: Path) -> Dataset:
    """The data set in the file `path`."""
    arrays = read_npz(path)
    unknown = np.full(len(arrays["x_unlabeled"]), UNLABELED, np.int64)
    x = np.concatenate([arrays["x_labeled"], arrays["x_unlabeled"]])
    return Dataset(
        x=x,
        y=np.concatenate([arrays["y_labeled"], unknown]),
        x_test=arrays["x_test"],
        y_test=arrays["y_test"],
        class_names=tuple(str(name) for name in arrays["class_names"]),
        likelihood=likelihood_of(x),
    )


def likelihood_of(x: np.ndarray) -> str:
    """Bernoulli for uint8 or bool arrays and for values that all lie in [0, 1], else Gaussian."""
    if x.dtype in (np.uint8, np.bool_) or (x.min() >= 0 and x.max() <= 1):
        return "bernoulli"
    return "gaussian"


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """All six arrays of `path`, checked; classes as int64 indices, absent arrays empty.

    Raises:
        InputError: naming the key, what was expected of it and what was received.
    """
    arrays = _read(path)
    first = "x_labeled" if "x_labeled" in arrays else "x_unlabeled"
    for key in [key for key in (first, "x_unlabeled", "x_test") if key in arrays]:
        arrays[key] = checked_points(key, arrays[key])
        if arrays[key].dtype != arrays[first].dtype:
            raise InputError(
                f"Expected {key} and {first} to be both bytes (uint8) or both other numbers. "
                f"Received: {arrays[key].dtype} and {arrays[first].dtype}"
            )
        if arrays[key].shape[1:] != arrays[first].shape[1:]:
            raise InputError(
                f"Expected {key} to have features of shape {arrays[first].shape[1:]} like {first}. "
                f"Received: {arrays[key].shape[1:]}"
            )
    if first == "x_unlabeled":
        none = np.zeros(0, np.int64)
        empty = arrays["x_unlabeled"][:0]
        return {"x_labeled": empty, "y_labeled": none, "x_test": empty, "y_test": none,
                "class_names": np.zeros(0, str), **arrays}  # fmt: skip
    arrays.setdefault("x_test", arrays["x_labeled"][:0])
    arrays.setdefault("y_test", arrays["y_labeled"][:0])
    for x, y in (("x_labeled", "y_labeled"), ("x_test", "y_test")):
        if arrays[y].shape != arrays[x].shape[:1]:
            raise InputError(
                f"Expected {y} to have shape {arrays[x].shape[:1]}, one label for each row of {x}. "
                f"Received: {arrays[y].shape}"
            )
    arrays["class_names"], values = _classes(arrays)
    for key in ("y_labeled", "y_test"):
        arrays[key] = _indices(key, arrays[key], values)
    missing = np.setdiff1d(np.arange(len(values)), arrays["y_labeled"])
    if len(missing):
        raise InputError(
            "Expected at least one label of every class in y_labeled. "
            f"Received none of class {str(arrays['class_names'][missing[0]])!r}"
        )
    return arrays


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            keys = list(file.files)
            if not _fit_together(keys):
                raise InputError(
                    f"Expected {path} to hold the arrays x_labeled, y_labeled, x_unlabeled and optionally x_test with "
                    "y_test, class_names; for a model of x alone x_unlabeled and optionally x_test. "
                    f"Received: {line(', '.join(keys)) or 'no arrays'}"
                )
            arrays = {key: file[key] for key in keys}
            if not all(isinstance(array, np.ndarray) and array.ndim for array in arrays.values()):
                raise InputError(f"Expected {path} to hold arrays with at least one axis. Received: other members")
            return arrays
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"Expected an existing .npz file. Received: {path}") from None
    except Exception as error:  # NumPy and zipfile raise many kinds for a file that is damaged or made to be
        what = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(
            f"Expected {path} to be an .npz file of plain arrays (no pickled objects: save labels with .astype(str)). "
            f"Received: {what}"
        ) from None


def _fit_together(keys: list[str]) -> bool:
    labeled = [key in keys for key in ("x_labeled", "y_labeled")]
    if not any(labeled):
        return "x_unlabeled" in keys and set(keys) <= {"x_unlabeled", "x_test"}
    tests = ("x_test" in keys) == ("y_test" in keys)
    return all(labeled) and "x_unlabeled" in keys and tests and set(keys) <= set(KEYS)


def checked_points(key: str, x: np.ndarray) -> np.ndarray:
    """x [N, *features] as bytes or float32. Raises InputError, naming `key`, unless it holds finite numbers."""
    if x.dtype.kind not in "buif" or x.ndim < 2 or 0 in x.shape:
        raise InputError(
            f"Expected {key} to hold numbers of shape [rows, *features], with at least one row and one feature. "
            f"Received: {x.dtype} of shape {x.shape}"
        )
    if x.dtype == np.uint8:
        return x
    with np.errstate(over="ignore"):
        x = x.astype(np.float32)
    if not np.isfinite(x).all():
        row = int(np.argwhere(~np.isfinite(x))[0][0])
        raise InputError(f"Expected finite numbers in {key}. Received NaN or infinity in row {row}")
    return x


def _classes(arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The names [C], and the values [C] by which the labels name them."""
    y = arrays["y_labeled"]
    if y.dtype.kind not in "uiU":
        raise InputError(f"Expected y_labeled to hold integers or strings. Received: {y.dtype}")
    names = arrays.get("class_names")
    if names is None:
        values = np.unique(y)
        names = values.astype(str)
    elif names.ndim != 1 or names.dtype.kind != "U" or len(np.unique(names)) != len(names):
        raise InputError(f"Expected class_names to hold distinct strings. Received: {names.dtype} {names.tolist()}")
    else:
        values = names if y.dtype.kind == "U" else np.arange(len(names))
    if not 2 <= len(names) <= MOST_CLASSES:
        raise InputError(f"Expected 2 to {MOST_CLASSES} classes. Received: {len(names)}")
    return names, values


def _indices(key: str, y: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The position of each label of `y` in `values`."""
    if len(y) and (y.dtype.kind not in "uiU" or (y.dtype.kind == "U") != (values.dtype.kind == "U")):
        raise InputError(f"Expected {key} to hold labels like {values[:3].tolist()}. Received: {y.dtype}")
    foreign = np.setdiff1d(y, values)
    if len(foreign):
        raise InputError(
            f"Expected every label of {key} to be one of {len(values)} classes {values[:5].tolist()} ... with a "
            f"label in y_labeled. Received: {foreign[0].item()!r}"
        )
    order = np.argsort(values)
    return order[np.searchsorted(values, y, sorter=order)].astype(np.int64)
