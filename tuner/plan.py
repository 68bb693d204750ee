"""What a search is of: data, configuration, space, objective. It is kept in `search.json`; a resume must match."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tfadgm.checkpoint import writing
from tfadgm.config import DENSITY, Config
from tfadgm.data.npz import checked_points
from tfadgm.data.sources import Dataset, load_dataset
from tfadgm.data.split import choose_labels
from tfadgm.errors import InputError
from tfadgm.runs import check_likelihood, with_epochs
from tuner import space as spaces
from tuner.objectives import BY_FOLDS, FOLDS, Judge, folds_of, with_labels_only
from tuner.oracles import make_oracle

PLAN = "search.json"


@dataclasses.dataclass(frozen=True)
class Plan:
    """A search: what it judges, what it may change, how it goes about it, and the folder it is kept in."""

    folder: Path
    judge: Judge
    space: spaces.Space
    fixed: dict[str, Any]
    algorithm: str
    trials: int

    def oracle(self) -> Any:
        """What chooses the values of its trials."""
        judge, base = self.judge, self.judge.base
        preset = spaces.preset_values(self.space, base, len(judge.dataset.x), len(judge.labels))
        return make_oracle(
            self.algorithm, judge.objective, self.space, self.trials, base.epochs or 1, base.seed, preset
        )

    def to_json(self) -> str:
        told = {
            "config": dataclasses.asdict(self.judge.base) | {"data_dir": None},  # the data are told by their digest
            "space": {name: str(dimension) for name, dimension in self.space.items()},
            "objective": self.judge.objective,
            "folds": self.judge.folds,
            "algorithm": self.algorithm,
            "trials": self.trials,
            "labels_seen": self.judge.labels_seen,
            "data": _digest(self.judge),
        }
        return json.dumps(told, indent=2) + "\n"


def make_plan(flags: argparse.Namespace) -> Plan:
    """The search that the flags ask for.

    Raises:
        InputError: if flags or data cannot be used.
    """
    fixed = spaces.parse_fixed(flags.fix)
    choices = {name: getattr(flags, name) for name in spaces.OWN if getattr(flags, name) is not None}
    plain = {name: value for name, value in fixed.items() if name not in spaces.STANDS_FOR}
    base = Config.for_dataset(**choices, **plain)
    if base.model in DENSITY:
        raise InputError(f"Expected a model that learns from labels. Received: {base.model}")
    space = spaces.search_space(base.model, spaces.parse_ranges(flags.range), fixed)
    space |= {name: spaces.Choice((value,)) for name, value in fixed.items() if name in spaces.STANDS_FOR}
    spaces.check(space, base)
    for name in ("trials", "finalists", "finalist_seeds", "workers"):
        if (value := getattr(flags, name)) is not None and value < 1:
            raise InputError(f"Expected {name} to be 1 or more. Received: {value}")
    last = 2 * flags.finalist_seeds + 1  # of two trainings
    if base.seed + last >= 2**31:
        raise InputError(f"Expected a seed below {2**31 - last}. Received: {base.seed}")
    folds = _folds(flags)
    dataset = load_dataset(base.dataset, base.data_dir, base.seed)
    check_likelihood(base, dataset)
    labels = choose_labels(dataset.y, dataset.class_names, base.labels, base.seed)
    base = with_epochs(base, len(dataset.x))
    judge = Judge(base, with_labels_only(dataset, labels), labels, flags.objective, folds, _validation(flags, dataset))
    if flags.objective in BY_FOLDS:
        folds_of(dataset.y[labels], folds, 0)
    folder = Path(flags.directory or f"tuning/{base.name}")
    return Plan(folder, judge, space, fixed, flags.algorithm, flags.trials)


@contextlib.contextmanager
def open_folder(plan: Plan, resume: bool) -> Iterator[None]:
    """Makes the folder of a new search, or finds that of the same search, and keeps other processes out of it.

    Raises:
        InputError: if there is another search or none to resume, or the folder is in use or cannot be written. A new
            folder is not left behind by an InputError before the first trial.
    """
    folder, path = plan.folder, plan.folder / PLAN
    if resume and not path.exists():
        raise InputError(f"Expected a search to resume in {folder}. Received a folder without {PLAN}")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        kept = path.read_text() if path.exists() else None
        if kept is None and any(folder.iterdir()):
            raise InputError(f"Expected a new folder or that of a search. Received {folder}, which holds other files")
    if kept is None:
        _begin(path, plan.to_json())
    elif not resume:
        raise InputError(f"Expected a new folder. Received {folder}, which holds a search: continue it with --resume")
    else:
        check_same(plan)
    with contextlib.ExitStack() as stack:
        with writing(folder):
            lock = stack.enter_context(path.open("r+"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"Expected a search that is not running. Received {folder}, which is in use") from None
        except OSError as error:
            raise InputError(f"Expected a file system with locks for {folder}. Received: {error}") from None
        try:
            yield
        except InputError:
            if kept is None and not (folder / "trainings").exists():
                shutil.rmtree(folder)
            raise


def _begin(path: Path, text: str) -> None:
    """Writes the plan of a new search, unless another start has been faster."""
    try:
        with writing(path), path.open("x") as file:
            file.write(text)
    except InputError as error:
        if isinstance(error.__cause__, FileExistsError):
            raise InputError(f"Expected a new folder. Received {path.parent}, where a search has just begun") from None
        with contextlib.suppress(OSError):
            path.unlink()
        raise


def check_same(plan: Plan) -> None:
    """Raises InputError unless the search in the folder of `plan` is that of `plan`."""
    path, text = plan.folder / PLAN, plan.to_json()
    try:
        kept = path.read_text()
    except OSError as error:
        raise InputError(f"Expected the folder of the search, shared with its chief. Received: {error}") from None
    if _complete(kept) != _complete(text):
        raise InputError(f"Expected the search of {path}. Received flags or data of another: {_change(kept, text)}")


def _complete(text: str) -> dict[str, Any]:
    """A plan, with fields of the configuration that are newer than its file; empty if the file is damaged."""
    try:
        told = json.loads(text)
        return told | {"config": dataclasses.asdict(Config()) | told["config"]}
    except (ValueError, KeyError, TypeError):
        return {}


def _change(kept: str, text: str) -> str:
    """The first thing in which two plans differ."""
    try:
        one, other = _complete(kept), _complete(text)
        name = next(name for name in other if one[name] != other[name])
        if isinstance(one[name], dict) and isinstance(other[name], dict):
            part = next(part for part in other[name] | one[name] if one[name].get(part) != other[name].get(part))
            return f"{part} is {other[name].get(part)} instead of {one[name].get(part)}"
        return f"{name} is {other[name]} instead of {one[name]}"
    except (ValueError, KeyError, TypeError, StopIteration):
        return "the file is damaged"


def _folds(flags: argparse.Namespace) -> int:
    """The parts of the labels. Raises InputError if there cannot be so many, or the objective has none."""
    if flags.folds is None:
        return FOLDS
    if flags.objective not in BY_FOLDS:
        raise InputError(f"Expected --folds with --objective {' or '.join(BY_FOLDS)}. Received: {flags.objective}")
    if flags.folds < 2:
        raise InputError(f"Expected folds to be 2 or more. Received: {flags.folds}")
    return flags.folds


def _validation(flags: argparse.Namespace, dataset: Dataset) -> tuple[np.ndarray, np.ndarray] | None:
    """The user's validation points: arrays `x` and `y` of the file that --validation names, y as class names."""
    if (flags.objective == "val_error") != (flags.validation is not None):
        raise InputError("Expected --objective val_error together with --validation FILE.npz. Received one of them")
    if flags.validation is None:
        return None
    try:
        with np.load(flags.validation, allow_pickle=False) as file:
            x, y = checked_points("x", file["x"]), file["y"]
        if (x.dtype == np.uint8) != (dataset.x.dtype == np.uint8) or y.shape != x.shape[:1]:
            raise InputError(
                f"Expected x of {dataset.x.dtype}, like the training points, and as many y. "
                f"Received: {x.dtype} {x.shape} and y {y.shape}"
            )
        names = {name: index for index, name in enumerate(dataset.class_names)}
        return x.reshape(len(y), *dataset.x.shape[1:]), np.array([names[str(label)] for label in y], np.int64)
    except InputError as error:
        raise InputError(f"In {flags.validation}: {error}") from None
    except Exception as error:  # NumPy and zipfile raise many kinds for a file that is damaged
        raise InputError(
            f"Expected arrays x [N, {', '.join(map(str, dataset.x.shape[1:]))}] and y [N] of class names in "
            f"{flags.validation}. Received: {type(error).__name__}: {error}"
        ) from error


def _digest(judge: Judge) -> str:
    digest = hashlib.sha256()
    arrays = [judge.dataset.x, judge.dataset.y, judge.labels, *(judge.validation or ())]
    for array in arrays:
        digest.update(repr((array.shape, array.dtype.str)).encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
