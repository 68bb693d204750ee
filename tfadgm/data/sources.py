"""Where points come from. A new source is a function (data_dir, seed) -> Dataset and its name in SOURCES.

A new kind of file is a function (path, target) -> Dataset and its ending in FORMATS.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tfadgm.data import arrays, images, tfds, toy
from tfadgm.data.dataset import Dataset
from tfadgm.errors import InputError

SOURCES: dict[str, Callable[[str | None, int], Dataset]] = {
    "digits": toy.digits,
    "moons": toy.moons,
    "mnist": tfds.mnist,
    "svhn_cropped": tfds.svhn_cropped,
    "smallnorb": tfds.smallnorb,
}
FORMATS: dict[str, Callable[[Path, str | None], Dataset]] = {".npz": arrays.own_arrays, ".npy": arrays.own_array}
TFDS = "tfds:"  # before the name of any other data set of TensorFlow Datasets
TABLES = ".csv", ".tsv", ".parquet"


def load_dataset(
    name: str,
    data_dir: str | None = None,
    seed: int = 0,
    *,
    target: str | None = None,
    columns: str | None = None,
    image_size: int | None = None,
    strict: bool = False,
) -> Dataset:
    """The data set called `name`: one of SOURCES, of TensorFlow Datasets, or the path of a file or a folder of images.

    Args:
        name: see above.
        data_dir: of TensorFlow Datasets.
        seed: of data that are drawn.
        target: where the labels of a file are that does not hold them under a name of its own.
        columns: of a table, the kinds that a user knows better, as `name=kind,...`.
        image_size: of a folder of images, height and width that all become.
        strict: whether an image that cannot be read is an error.

    Raises:
        InputError: if the data is absent, unreadable or not usable.
    """
    kind = kind_of(name)
    for flag, value, kinds in (
        ("target", target, ("table", "arrays")),
        ("columns", columns, ("table",)),
        ("image-size", image_size, ("images", "table")),
        ("strict", strict or None, ("images", "table")),
    ):
        if value is not None and kind not in kinds:
            raise InputError(f"Expected --{flag} with {' or '.join(kinds)} of your own. Received: {name}")
    path = Path(name).expanduser()
    if kind == "source":
        return SOURCES[name](data_dir, seed)
    if kind == "tfds":
        return tfds.by_name(name.removeprefix(TFDS), data_dir)
    if kind == "images":
        return images.own_images(path, image_size, strict)
    if kind == "arrays":
        return FORMATS[path.suffix.lower()](path, target)
    from tfadgm.data.table import own_table  # needs pandas

    return own_table(path, target, columns, image_size, strict)


def kind_of(name: str) -> str:
    """What the data called `name` are: source, tfds, arrays, table or images. Raises InputError if they are none."""
    suffix = Path(name).suffix.lower()
    if name in SOURCES or name.startswith(TFDS):
        return "source" if name in SOURCES else "tfds"
    if suffix in FORMATS or suffix in TABLES:
        return "arrays" if suffix in FORMATS else "table"
    if Path(name).expanduser().is_dir() or ("/" in name and not suffix):
        return "images"
    raise InputError(
        f"Expected dataset to be one of {', '.join(SOURCES)}, {TFDS}NAME of TensorFlow Datasets, the path of a file "
        f"ending in {', '.join((*FORMATS, *TABLES))}, or a folder of images. Received: {name!r}"
    )
