"""Data sets of TensorFlow Datasets: three of the literature, and any other for classification by its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tfadgm.data.arrays import likelihood_of, make_dataset
from tfadgm.data.dataset import UNLABELED, Dataset, numbered
from tfadgm.errors import InputError, extra

BATCH = 1000  # examples that are read at a time
NORB_CLASSES = ("animal", "human", "airplane", "truck", "car")


def mnist(data_dir: str | None = None, seed: int = 0) -> Dataset:
    """MNIST (LeCun et al. 1998): 60,000 + 10,000 images, uint8 [28, 28, 1]."""
    return _load("mnist", data_dir, numbered(10), "bernoulli")


def svhn_cropped(data_dir: str | None = None, seed: int = 0) -> Dataset:
    """SVHN (Netzer et al. 2011): 73,257 + 26,032 images, uint8 [32, 32, 3]."""
    return _load("svhn_cropped", data_dir, numbered(10), "gaussian")


def smallnorb(data_dir: str | None = None, seed: int = 0) -> Dataset:
    """Small NORB (LeCun et al. 2004): 24,300 + 24,300 pairs, uint8 [32, 32, 2].

    Each camera is a channel; a pixel is the mean of 3 x 3 pixels, to the nearest level.
    """
    return _load("smallnorb", data_dir, NORB_CLASSES, "gaussian", _pairs)


def _pairs(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    cameras = [_third(batch[camera]) for camera in ("image", "image2")]
    return {"image": np.concatenate(cameras, -1), "label": batch["label_category"]}


def _third(images: np.ndarray) -> np.ndarray:
    """uint8 [N, 3 H, 3 W, C] at a third of the height and width."""
    count, height, width, channels = images.shape
    blocks = images.reshape(count, height // 3, 3, width // 3, 3, channels)
    return np.rint(blocks.mean((2, 4), dtype=np.float32)).astype(np.uint8)


def _load(
    name: str, data_dir: str | None, class_names: tuple[str, ...], likelihood: str, prepare: Callable = dict
) -> Dataset:
    """The data set `name`; `prepare` makes every batch of it one of `image` and `label`."""
    with extra("datasets"):
        import tensorflow_datasets as tfds

    try:
        parts = tfds.load(name, split=["train", "test"], data_dir=data_dir, batch_size=BATCH)
        batches = [[prepare(batch) for batch in tfds.as_numpy(part)] for part in parts]
    except Exception as error:  # TFDS raises whatever its download or its reader met
        raise _absent(name, error) from error
    keys = "image", "label"
    x, y, x_test, y_test = (np.concatenate([batch[key] for batch in part]) for part in batches for key in keys)
    return Dataset(x, y, x_test, y_test, class_names, likelihood)


def by_name(name: str, data_dir: str | None = None) -> Dataset:
    """Any data set of TensorFlow Datasets with one label an example: `train` points, and `test` ones for the report.

    Images of one size become bytes; a tensor of features is taken as it is; a dictionary of single features becomes a
    table. Labels of -1 are none.

    Raises:
        InputError: if it is absent, or of another kind.
    """
    with extra("datasets"):
        import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name, data_dir=data_dir)
        builder.download_and_prepare()
        info = builder.info
        splits = [split for split in ("train", "test") if split in (info.splits or ("train", "test"))]
        parts = [list(tfds.as_numpy(builder.as_dataset(split=split, batch_size=BATCH))) for split in splits]
    except Exception as error:
        raise _absent(name, error) from error
    keys: Any = info.supervised_keys or ()
    named = isinstance(info.features, tfds.features.FeaturesDict) and len(keys) == 2
    label = info.features[keys[1]] if named and isinstance(keys[1], str) and keys[1] in info.features else None
    if "train" not in splits or not isinstance(label, tfds.features.ClassLabel):
        raise InputError(f"Expected a data set with a train split and one label an example. Received: {name}")
    (x, y), *tests = (_points(name, part, *keys) for part in parts)
    if isinstance(x, dict):
        return _table(name, x, y, tuple(label.names))
    x_test, y_test = tests[0] if tests and (tests[0][1] != UNLABELED).any() else (x[:0], y[:0])
    known = y_test != UNLABELED
    data = make_dataset(x, None, x_test[known])
    return data.replace(y=y, y_test=y_test[known], class_names=tuple(label.names), likelihood=likelihood_of(data.x))


def _points(name: str, batches: list[dict[str, Any]], features: Any, label: str) -> tuple[Any, np.ndarray]:
    """Features, an array [N, ...] or one a key, and labels [N]; `features` names them, one or several."""
    y = np.concatenate([batch[label] for batch in batches]).astype(np.int64)
    if isinstance(features, dict):
        return {key: np.concatenate([batch[key] for batch in batches]) for key in features}, y
    first = batches[0][features]
    if isinstance(first, dict):
        return {key: np.concatenate([batch[features][key] for batch in batches]) for key in first}, y
    if not isinstance(first, np.ndarray) or first.dtype.kind not in "buif" or first.ndim < 2:
        raise InputError(
            f"Expected images of one size, or features as numbers. Received: {name}, {features} of another kind"
        )
    return np.concatenate([batch[features] for batch in batches]), y


def _table(name: str, columns: dict[str, np.ndarray], y: np.ndarray, class_names: tuple[str, ...]) -> Dataset:
    import pandas as pd

    from tfadgm.data.table import from_frame

    if any(not isinstance(column, np.ndarray) or column.ndim != 1 for column in columns.values()):
        raise InputError(f"Expected features of one cell each. Received: {name}, with others")
    cells = {
        key: [cell.decode(errors="replace") for cell in column] if column.dtype.kind in "SO" else column
        for key, column in columns.items()
    }
    return from_frame(pd.DataFrame(cells)).replace(y=y, class_names=class_names)


def _absent(name: str, error: Exception) -> InputError:
    return InputError(
        f"Expected {name} from TensorFlow Datasets: a network, or a prepared copy named by --data-dir or "
        f"TFDS_DATA_DIR. Received: {type(error).__name__}: {(str(error).splitlines() or ['no message'])[0]}"
    )
