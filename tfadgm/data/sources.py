"""Where points come from. A new source is a function (data_dir, seed) -> Dataset and its name in SOURCES.

A new kind of file is a function (path) -> Dataset and its ending in FORMATS.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tfadgm.data import arrays, tfds, toy
from tfadgm.data.dataset import Dataset
from tfadgm.errors import InputError

SOURCES: dict[str, Callable[[str | None, int], Dataset]] = {
    "digits": toy.digits,
    "moons": toy.moons,
    "mnist": tfds.mnist,
    "svhn_cropped": tfds.svhn_cropped,
    "smallnorb": tfds.smallnorb,
}
FORMATS: dict[str, Callable[[Path], Dataset]] = {".npz": arrays.own_arrays}


def load_dataset(name: str, data_dir: str | None = None, seed: int = 0) -> Dataset:
    """The data set called `name`, one of SOURCES or the path of a file.

    Raises:
        InputError: if the data is absent, unreadable or not usable.
    """
    check_name(name)
    return SOURCES[name](data_dir, seed) if name in SOURCES else FORMATS[Path(name).suffix](Path(name).expanduser())


def check_name(name: str) -> None:
    """Raises InputError unless `name` can be that of data."""
    if name not in SOURCES and Path(name).suffix not in FORMATS:
        raise InputError(
            f"Expected dataset to be one of {', '.join(SOURCES)} or the path of an {' or '.join(FORMATS)} file. "
            f"Received: {name!r}"
        )
