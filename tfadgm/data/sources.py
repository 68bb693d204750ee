"""Where points come from. A new source is one function that returns a Dataset."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tfadgm.data.npz import read_npz
from tfadgm.errors import InputError

UNKNOWN = -1  # the class of a point that has no label


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Points in the units of their source, and what is known of their classes.

    x            [N, *features]  training points, labeled ones included
    y            [N] int64       class of each, UNKNOWN where the source gives none
    x_test       [M, *features]  points for the report only; M may be 0
    y_test       [M] int64
    class_names  one string a class
    likelihood   "bernoulli" for intensities with a known range, "gaussian" for other numbers, and for levels as numbers
    """

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple[str, ...]
    likelihood: str

    @property
    def classes(self) -> int:
        return len(self.class_names)


def load_dataset(name: str, data_dir: str | None = None, seed: int = 0) -> Dataset:
    """The data set called `name`, one of `tfadgm.config.DATASETS` or the path of an .npz file.

    Raises:
        InputError: if the data is absent, unreadable or not usable.
    """
    if name == "digits":
        return digits()
    if name == "moons":
        return moons(seed)
    of_tfds = {"mnist": mnist, "svhn_cropped": svhn_cropped, "smallnorb": smallnorb}
    if name in of_tfds:
        return of_tfds[name](data_dir)
    return own_arrays(Path(name))


def digits() -> Dataset:
    """scikit-learn's bundled 8x8 digits (UCI), 1797 real scans; 30 % are test points, evenly per class."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    x = x.reshape(-1, 8, 8).astype(np.float32)
    x, x_test, y, y_test = train_test_split(x, y, test_size=0.3, random_state=0, stratify=y)
    return Dataset(x, y.astype(np.int64), x_test, y_test.astype(np.int64), _numbered(10), "bernoulli")


MOONS_NOISE = 0.2
MOONS_SHIFT = 1.5933
MOONS_LABELED = np.array(
    [[0.7, 1.7], [1.6, 2.6], [2.7, 1.7], [1.6, 2.0], [2.7, 1.1], [3.5, 2.0]], np.float32
)  # three points of each class
MOONS_TEST_SEED = 2**32 - 1  # no run has this seed, so no training point is a test point


def moons(seed: int) -> Dataset:
    """The half-moons of Maaløe et al. 2016: six labeled and 10,000 unlabeled points, 10,000 test points."""
    x, _ = draw_moons(10_000, seed)
    x_test, y_test = draw_moons(10_000, MOONS_TEST_SEED)
    y = np.concatenate([np.repeat([0, 1], 3), np.full(len(x), UNKNOWN)]).astype(np.int64)
    return Dataset(np.concatenate([MOONS_LABELED, x]), y, x_test, y_test, ("upper", "lower"), "gaussian")


def draw_moons(points: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points [points, 2] of the two noisy half-moons and their class [points]."""
    from sklearn.datasets import make_moons

    x, y = make_moons(points, noise=MOONS_NOISE, random_state=seed)
    return (x + MOONS_SHIFT).astype(np.float32), y.astype(np.int64)


def mnist(data_dir: str | None = None) -> Dataset:
    """MNIST (LeCun et al. 1998) through TensorFlow Datasets: 60,000 + 10,000 images, uint8 [28, 28, 1]."""
    return _of_tfds("mnist", data_dir, _numbered(10), "bernoulli")


def svhn_cropped(data_dir: str | None = None) -> Dataset:
    """SVHN (Netzer et al. 2011) through TensorFlow Datasets: 73,257 + 26,032 images, uint8 [32, 32, 3]."""
    return _of_tfds("svhn_cropped", data_dir, _numbered(10), "gaussian")


NORB_CLASSES = ("animal", "human", "airplane", "truck", "car")


def smallnorb(data_dir: str | None = None) -> Dataset:
    """Small NORB (LeCun et al. 2004) through TensorFlow Datasets: 24,300 + 24,300 pairs, uint8 [32, 32, 2].

    Each camera is a channel; a pixel is the mean of 3 x 3 pixels, to the nearest level.
    """
    return _of_tfds("smallnorb", data_dir, NORB_CLASSES, "gaussian", _pairs)


def _pairs(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    cameras = [_third(batch[camera]) for camera in ("image", "image2")]
    return {"image": np.concatenate(cameras, -1), "label": batch["label_category"]}


def _third(images: np.ndarray) -> np.ndarray:
    """uint8 [N, 3 H, 3 W, C] at a third of the height and width."""
    count, height, width, channels = images.shape
    blocks = images.reshape(count, height // 3, 3, width // 3, 3, channels)
    return np.rint(blocks.mean((2, 4), dtype=np.float32)).astype(np.uint8)


def _of_tfds(
    name: str, data_dir: str | None, class_names: tuple[str, ...], likelihood: str, prepare: Callable = dict
) -> Dataset:
    """The data set `name` of TensorFlow Datasets; `prepare` makes every batch of it one of `image` and `label`."""
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


def own_arrays(path: Path) -> Dataset:
    """The user's own arrays: see `tfadgm.data.npz` for the keys and what is checked."""
    arrays = read_npz(path)
    unlabeled = arrays["x_unlabeled"]
    unknown = np.full(len(unlabeled), UNKNOWN, np.int64)
    x = np.concatenate([arrays["x_labeled"], unlabeled])
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


def _numbered(classes: int) -> tuple[str, ...]:
    return tuple(str(number) for number in range(classes))
