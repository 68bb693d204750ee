"""What a search is of: data, configuration, space, objective. It is kept in `search.json`; a resume must match."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfadgm.config import DERIVED, RUN, Config
from tfadgm.data.labels import folds_of
from tfadgm.errors import InputError
from tfadgm.files import LOCK, digest, locked, write_json, writing
from tfadgm.models import MODELS, DeepGenerativeClassifier
from tfadgm.models.base import renamed
from tfadgm.resolve import resolve
from tfadgm.run import labeled_dataset
from tuner import space as spaces
from tuner.objectives import BY_ELBO, BY_FOLDS, FOLDS, TrialScorer
from tuner.validation import read_validation

SEARCH = "search.json"
ALGORITHMS = "random", "bayesian", "hyperband"


@dataclasses.dataclass(frozen=True)
class SearchSpec:
    """A search: what scores it, what it may change, how it goes about it, and the folder it is kept in."""

    folder: Path
    scorer: TrialScorer
    space: spaces.Space
    fixed: dict[str, Any]
    algorithm: str
    trials: int

    def preset(self) -> dict[str, Any]:
        """The values of its first trial."""
        return spaces.preset_values(self.space, self.scorer.base)

    def contents(self) -> dict[str, Any]:
        """What `search.json` holds."""
        scorer, dataset = self.scorer, self.scorer.dataset
        return {
            "config": scorer.base.flat(),
            "space": {name: str(dimension) for name, dimension in self.space.items()},
            "objective": scorer.objective,
            "folds": scorer.folds,
            "algorithm": self.algorithm,
            "trials": self.trials,
            "labels_seen": scorer.labels_seen,
            "data": digest(dataset.x, dataset.y, dataset.label_indices, *(scorer.validation or ())),
        }


def make_spec(flags: argparse.Namespace) -> SearchSpec:
    """The search that the flags ask for.

    Raises:
        InputError: if flags or data cannot be used.
    """
    model = MODELS[RUN["model"].checked(flags.model)]
    if model.task != "classification":
        raise InputError(f"Expected a model that learns from labels. Received: {flags.model}")
    if flags.objective in BY_ELBO and not issubclass(model, DeepGenerativeClassifier):
        raise InputError(f"Expected an objective other than {flags.objective} for a model without a bound of x")
    fixed = spaces.parse_fixed(flags.fix, flags.model)
    own = {name: getattr(flags, name) for name in spaces.FLAGS if getattr(flags, name) is not None}
    plain = {name: value for name, value in fixed.items() if name not in spaces.STANDS_FOR}
    base = Config.for_dataset(**own, **plain)
    dataset = labeled_dataset(base).without_tests()
    resolved = resolve(base, dataset)
    # Not alpha, which depends on the fold.
    base = base.replace(**{name: getattr(resolved, name) for name in ("epochs", *DERIVED)})
    space = spaces.search_space(flags.model, spaces.parse_ranges(flags.range, flags.model), fixed)
    space |= {name: spaces.Choice((value,)) for name, value in fixed.items() if name in spaces.STANDS_FOR}
    spaces.check(space, base)
    for name in ("trials", "finalists", "finalist_seeds", "workers"):
        if (value := getattr(flags, name)) is not None and value < 1:
            raise InputError(f"Expected {name} to be 1 or more. Received: {value}")
    last = 2 * flags.finalist_seeds + 1  # of two trainings
    if base.seed + last >= 2**31:
        raise InputError(f"Expected a seed below {2**31 - last}. Received: {base.seed}")
    folds = FOLDS if flags.folds is None else flags.folds
    if flags.folds is not None and flags.objective not in BY_FOLDS:
        raise InputError(f"Expected --folds with --objective {' or '.join(BY_FOLDS)}. Received: {flags.objective}")
    if folds < 2:
        raise InputError(f"Expected folds to be 2 or more. Received: {folds}")
    scorer = TrialScorer(
        base, dataset, flags.objective, folds, read_validation(flags.objective, flags.validation, dataset, base.target)
    )
    if flags.objective in BY_FOLDS:
        folds_of(dataset.y[dataset.label_indices], folds, 0)
    return SearchSpec(
        flags.directory or Path("tuning") / base.name, scorer, space, fixed, flags.algorithm, flags.trials
    )


@contextlib.contextmanager
def open_folder(spec: SearchSpec, resume: bool) -> Iterator[None]:
    """Makes the folder of a new search, or finds that of the same search, and keeps other processes out of it.

    Raises:
        InputError: if there is another search or none to resume, or the folder is in use or cannot be written. A new
            folder is not left behind by an InputError before the first trial.
    """
    _check_folder(spec, resume)
    with writing(spec.folder):
        spec.folder.mkdir(parents=True, exist_ok=True)
    with locked(spec.folder, "a search"):
        _check_folder(spec, resume)  # another process may have been faster
        try:
            write_json(spec.folder / SEARCH, spec.contents())
            yield
        except InputError:
            if not resume and not (spec.folder / "trainings").exists():
                shutil.rmtree(spec.folder)
            raise


def _check_folder(spec: SearchSpec, resume: bool) -> None:
    folder, path = spec.folder, spec.folder / SEARCH
    if resume:
        if not path.exists():
            raise InputError(f"Expected a search to resume in {folder}. Received a folder without {SEARCH}")
        check_same(spec, more=True)
        return
    if path.exists():
        raise InputError(f"Expected a new folder. Received {folder}, which holds a search: continue it with --resume")
    with writing(folder):
        present = [file.name for file in folder.iterdir()] if folder.exists() else []
    if any(name != LOCK and ".partial" not in name for name in present):
        raise InputError(f"Expected a new folder or that of a search. Received {folder}, which holds other files")


def check_same(spec: SearchSpec, more: bool = False) -> None:
    """Raises InputError unless the folder of `spec` holds its search; with `more`, one of fewer trials will do."""
    path, own = spec.folder / SEARCH, _comparable(spec.contents())
    try:
        kept = _comparable(json.loads(path.read_text()))
        if more and kept["trials"] < own["trials"]:
            kept["trials"] = own["trials"]
        name = next((name for name in [*own, *kept] if kept.get(name) != own.get(name)), None)
    except OSError as error:
        raise InputError(f"Expected the folder of the search, shared with its chief. Received: {error}") from None
    except (ValueError, KeyError, TypeError):
        raise InputError(f"Expected the search of {path}. Received a file that is damaged") from None
    if name is not None:
        raise InputError(
            f"Expected the search of {path}. Received flags or data of another: {name} is {own.get(name)} "
            f"instead of {kept.get(name)}"
        )


def _comparable(contents: dict[str, Any]) -> dict[str, Any]:
    """What makes a search the same, flat: names of today, and not where the data are, which their digest tells."""
    config = Config.from_json(json.dumps(contents["config"]), SEARCH).flat()
    space = {f"the range of {name}": text for name, text in renamed(contents["space"]).items()}
    rest = {name: value for name, value in contents.items() if name not in ("config", "space")}
    return {name: value for name, value in (config | space | rest).items() if name not in ("dataset", "data_dir")}
