"""The user's own arrays, from files that are not trusted.

An .npz file holds labeled and unlabeled points together or apart:

    x            [N, *features]  numbers             x_unlabeled  [U, *features]
    y            [N]             labels, gaps        x_labeled    [L, *features]
                                 where there is none y_labeled    [L]

and optionally points for the report and the order of the classes:

    x_test       [M, *features]  with y_test         class_names  [C]  strings: class c is class_names[c]
    y_test       [M]

x_train and y_train, as Keras names them, are x and y. Without labels, for a density model, x or x_unlabeled stands
alone. An .npy file and SciPy's sparse .npz hold x, and another .npy file its labels. Labels are whole numbers or text,
see `tfadgm.data.classes`.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from tfadgm.data.classes import Classes
from tfadgm.data.dataset import UNLABELED, Dataset
from tfadgm.errors import InputError, line

TOGETHER, APART = {"x", "y"}, {"x_unlabeled", "x_labeled", "y_labeled"}
OPTIONAL = {"x_test", "y_test", "class_names"}
KERAS = {"x_train": "x", "y_train": "y"}  # the names in the files of Keras
SPARSE = {"format", "shape", "data"}
BOMB = 100, 2**30  # a file whose content is so many times its size, and so many bytes, is refused
INTENSITIES = 64, 0.5  # so many flat features, of which such a share is at an end of their range, are intensities
SPANNED = 0.8  # of the range of all features: what half of them span, if they are of one range
ROUNDING = 1e-3  # of a deviation: what float32 may lose of a feature


def own_arrays(path: Path, target: str | None = None) -> Dataset:
    """The data set in the .npz file `path`; `target` names the labels of a sparse one.

    Raises:
        InputError: naming the array, what was expected of it and what was received.
    """
    arrays = read_npz(path)
    if arrays.keys() >= SPARSE:
        return _with_labels(_dense(path), target)
    if target is not None:
        raise InputError(f"Expected --target with a table, an .npy file or a sparse .npz file. Received: {path}")
    if not _fit_together(set(arrays)):
        raise InputError(
            f"Expected {path} to hold x and y, or x_labeled, y_labeled and x_unlabeled; optionally x_test with y_test, "
            f"and class_names; for a density model x or x_unlabeled. Received: {line(', '.join(arrays)) or 'no arrays'}"
        )
    for key in [key for key in arrays if key.startswith("x")]:
        arrays[key] = checked_points(key, arrays[key])
    ids = None
    if "x_labeled" in arrays:
        arrays["x"], arrays["y"], ids = _joined(arrays)
    elif "x_unlabeled" in arrays:
        arrays["x"] = arrays.pop("x_unlabeled")
    return make_dataset(**{key: arrays[key] for key in arrays if key in TOGETHER | OPTIONAL}, ids=ids)


def own_array(path: Path, target: str | None = None) -> Dataset:
    """The data set of the .npy file `path`, with the labels of the .npy file `target`; errors as in `own_arrays`."""
    return _with_labels(_read(path), target)


def make_dataset(
    x: np.ndarray,
    y: np.ndarray | None = None,
    x_test: np.ndarray | None = None,
    y_test: np.ndarray | None = None,
    class_names: Any = None,
    ids: np.ndarray | None = None,
) -> Dataset:
    """Points x [N, *features] with labels y [N], gaps where there is none; errors as in `own_arrays`.

    Examples:
        >>> data = make_dataset(np.array([[0.5, 2.0], [1.5, 3.0], [0.1, 2.5]]), np.array(["no", "yes", ""]))
        >>> data.y.tolist(), data.class_names, data.likelihood
        ([0, 1, -1], ('no', 'yes'), 'gaussian')
    """
    x, key = checked_points("x", x), "y_labeled" if ids is not None else "y"
    tests = x[:0] if x_test is None else checked_points("x_test", x_test)
    x, tests = _alike(x, tests)
    none = np.full(len(x), UNLABELED, np.int64)
    if y is None:
        return Dataset(x, none, tests, none[:0], (), likelihood_of(x), ids=ids)
    for name, labels, points in ((key, y, x), ("y_test", y_test, tests)):
        if labels is not None and labels.shape != points.shape[:1]:
            raise InputError(
                f"Expected {name} to have shape {points.shape[:1]}, one label for each row. Received: {labels.shape}"
            )
    classes = Classes.of(y, key, class_names)
    judged = none[:0] if y_test is None else classes.encode(y_test, "y_test")
    known = judged != UNLABELED
    return Dataset(
        x, classes.encode(y, key), tests[: len(judged)][known], judged[known], classes.names, likelihood_of(x),
        ids=ids, notes=classes.notes,
    )  # fmt: skip


def likelihood_of(x: np.ndarray) -> str:
    """ "bernoulli" for features that are 0 or 1 and for intensities of images, else "gaussian".

    Intensities are bytes or numbers from 0, of the shape of an image. Flat features and numbers below 0 may be those of
    an image, too: if they are many, in [0, 1] or bytes or of one range, and mostly at an end of it.
    """
    low, high = float(x.min()), float(x.max())
    if x.dtype == np.bool_ or (low >= 0 and high <= 1 and _share(x, 0, 1) == 1):
        return "bernoulli"
    if low >= 0 and x.ndim > 2:
        return "bernoulli"
    features, share = INTENSITIES
    if x[0].size < features or _share(x, low, high) < share:
        return "gaussian"
    bounded = low >= 0 and (high <= 1 or (x.dtype == np.uint8 and high > 127))
    return "bernoulli" if bounded or _one_range(x, high - low) else "gaussian"


def _one_range(x: np.ndarray, whole: float) -> bool:
    """Whether half of the features that vary span most of the range `whole` of all."""
    spans = x.max(0).astype(np.float64) - x.min(0)
    return bool(np.median(spans[spans > 0]) >= SPANNED * whole) if whole else False


def _share(x: np.ndarray, low: float, high: float) -> float:
    """The share of the values of x that are one of two, counted a part at a time."""
    rows = max(1, 2**22 // x[0].size)
    parts = (x[first : first + rows] for first in range(0, len(x), rows))
    return sum(int(((part == low) | (part == high)).sum()) for part in parts) / x.size


def checked_points(key: str, x: np.ndarray) -> np.ndarray:
    """x [N, *features] as bytes, float32, or float64 where float32 would lose what tells its features apart.

    Raises:
        InputError: naming `key`, unless it holds finite numbers.
    """
    if x.dtype.kind not in "buif" or x.ndim < 2 or 0 in x.shape:
        raise InputError(
            f"Expected {key} to hold numbers of shape [rows, *features], with at least one row and one feature. "
            f"Received: {x.dtype} of shape {x.shape}"
        )
    if x.dtype in (np.uint8, np.float32):
        narrow = x
    else:
        with np.errstate(over="ignore"):
            narrow = x.astype(np.float32)
    if narrow.dtype != np.uint8 and not np.isfinite(narrow.min() + narrow.max()):
        row = int(np.argwhere(~np.isfinite(narrow.reshape(len(x), -1)).all(1))[0][0])
        raise InputError(f"Expected finite numbers in {key}. Received NaN or infinity in row {row}")
    return x.astype(np.float64) if narrow is not x and _rounded(x) else narrow


def _rounded(x: np.ndarray) -> bool:
    """Whether float32 rounds a feature of x [N, *features] by more than ROUNDING of its deviation."""
    with np.errstate(over="ignore"):
        deviation, size = x.std(0, dtype=np.float64), np.abs(x).max(0).astype(np.float64)
    return bool(((deviation > 0) & (np.spacing(size.astype(np.float32)) > ROUNDING * deviation)).any())


def _alike(x: np.ndarray, tests: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both of one type and shape of features."""
    if (x.dtype == np.uint8) != (tests.dtype == np.uint8) and len(tests):
        raise InputError(
            f"Expected x_test and x to be both bytes (uint8) or both other numbers. Received: {tests.dtype}, {x.dtype}"
        )
    if x.shape[1:] != tests.shape[1:]:
        raise InputError(f"Expected x_test to have features of shape {x.shape[1:]} like x. Received: {tests.shape[1:]}")
    kind = np.result_type(x, tests)
    return x.astype(kind, copy=False), tests.astype(kind, copy=False)


def _joined(arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labeled points, then unlabeled ones: x, y with gaps, and the rows in their own array."""
    few, many, y = arrays.pop("x_labeled"), arrays.pop("x_unlabeled"), arrays.pop("y_labeled")
    if (few.dtype == np.uint8) != (many.dtype == np.uint8):
        raise InputError(
            "Expected x_unlabeled and x_labeled to be both bytes (uint8) or both other numbers. "
            f"Received: {many.dtype} and {few.dtype}"
        )
    if few.shape[1:] != many.shape[1:]:
        raise InputError(
            f"Expected x_unlabeled to have features of shape {few.shape[1:]} like x_labeled. Received: {many.shape[1:]}"
        )
    if y.shape != few.shape[:1]:
        raise InputError(f"Expected y_labeled to have shape {few.shape[:1]}, one label a row. Received: {y.shape}")
    gaps = np.full(len(many), "" if y.dtype.kind in "USO" else -1)
    ids = np.concatenate([np.char.add("labeled-", np.arange(len(few)).astype(str)), np.arange(len(many)).astype(str)])
    return np.concatenate([few, many]), np.concatenate([y, gaps]), ids


def _with_labels(x: np.ndarray, target: str | None) -> Dataset:
    return make_dataset(x, None if target is None else _read(Path(target).expanduser()))


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """All arrays of `path`. Raises InputError if it is no .npz file of plain arrays."""
    arrays = _read(path)
    if not isinstance(arrays, dict):
        raise InputError(f"Expected {path} to be an .npz file. Received: a single array")
    return arrays


def _read(path: Path) -> Any:
    """The array of an .npy file, or those of an .npz file."""
    try:
        _check_size(path)
        with path.open("rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if isinstance(file, np.ndarray):
                return file
            arrays = {key: file[key] for key in file.files}
        if not all(isinstance(array, np.ndarray) for array in arrays.values()):
            raise InputError(f"Expected {path} to hold arrays. Received: other members")
        together = arrays.keys() & TOGETHER
        return arrays if together else {KERAS.get(key, key): array for key, array in arrays.items()}
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"Expected an existing {path.suffix} file. Received: {path}") from None
    except Exception as error:  # NumPy and zipfile raise many kinds for a file that is damaged or made to be
        what = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(
            f"Expected {path} to be an {path.suffix} file of plain arrays (no pickled objects: save labels with "
            f".astype(str)). Received: {what}"
        ) from None


def _check_size(path: Path) -> None:
    """Raises InputError if the content of an .npz file is far larger than the file, as only a trap's is."""
    times, least = BOMB
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file:
            size = sum(member.file_size for member in file.infolist())
        if size > max(least, times * path.stat().st_size):
            raise InputError(
                f"Expected {path} to hold at most {times} times its size. Received: {size / 2**30:.1f} GiB in "
                f"{path.stat().st_size / 2**20:.1f} MiB: if they are your data, save them without compression"
            )


def _dense(path: Path) -> np.ndarray:
    """The matrix of SciPy's sparse .npz file."""
    from scipy import sparse

    try:
        return sparse.load_npz(path).toarray()
    except Exception as error:
        raise InputError(f"Expected {path} to be a matrix of scipy.sparse. Received: {line(error)}") from None


def _fit_together(keys: set[str]) -> bool:
    """Whether an .npz file can hold arrays of these names and no others."""
    tests = ("x_test" in keys) == ("y_test" in keys)
    given = keys - OPTIONAL
    if given in ({"x"}, {"x_unlabeled"}):
        return keys - given <= {"x_test"}
    return tests and given in (TOGETHER, APART)


def read_points(path: Path) -> np.ndarray:
    """Points [N, *features] alone: of an .npy file, of `x` or `x_unlabeled` of an .npz file, or a sparse matrix."""
    arrays = _read(path)
    if isinstance(arrays, dict):
        key = next((key for key in ("x", "x_unlabeled") if key in arrays), None)
        if key is None and not arrays.keys() >= SPARSE:
            raise InputError(f"Expected {path} to hold x. Received: {line(', '.join(arrays)) or 'no arrays'}")
        arrays = _dense(path) if key is None else arrays[key]
    return checked_points("x", arrays)
