"""Image sets of TensorFlow Datasets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfadgm.data.dataset import Dataset, numbered
from tfadgm.errors import InputError, extra

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
        parts = tfds.load(name, split=["train", "test"], data_dir=data_dir, batch_size=1000)
        batches = [[prepare(batch) for batch in tfds.as_numpy(part)] for part in parts]
    except Exception as error:  # TFDS raises whatever its download or its reader met
        raise InputError(
            f"Expected {name} from TensorFlow Datasets: a network, or a prepared copy named by --data-dir or "
            f"TFDS_DATA_DIR. Received: {type(error).__name__}: {(str(error).splitlines() or ['no message'])[0]}"
        ) from error
    keys = "image", "label"
    x, y, x_test, y_test = (np.concatenate([batch[key] for batch in part]) for part in batches for key in keys)
    return Dataset(x, y, x_test, y_test, class_names, likelihood)
