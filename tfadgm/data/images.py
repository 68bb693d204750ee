"""Folders of images: `<class>/*`, `unlabeled/*` and, for the report only, `test/<class>/*`. Files are not trusted."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfadgm.data.arrays import likelihood_of
from tfadgm.data.dataset import UNLABELED, Dataset
from tfadgm.errors import InputError, line
from tfadgm.nn.images import decode, is_readable

SUFFIXES = ".png", ".jpg", ".jpeg", ".gif", ".bmp"
UNLABELED_FOLDER, TEST_FOLDER = "unlabeled", "test"
LARGEST_SIZE, USUAL_SIZE = 64, 32  # up to which images of one size keep it, and what others become
SHOWN = 10  # unreadable files that are named
BATCH = 256


def listed_images(
    folder: Path, paths: Sequence[str], labels: Sequence[str | None], size: int | None = None, strict: bool = False
) -> Dataset:
    """The images at `paths` within `folder`, with labels, None where there is none; arguments and errors as below."""
    root = folder.resolve()
    outside = next((path for path in paths if not (folder / path).resolve().is_relative_to(root)), None)
    if outside is not None:
        raise InputError(f"Expected paths of images within {folder}. Received: {line(outside)}")
    return _dataset(folder, [folder / path for path in paths], labels, np.zeros(len(paths), bool), size, strict)


def own_images(folder: Path, size: int | None = None, strict: bool = False) -> Dataset:
    """The images in `folder`, as bytes [N, height, width, channels].

    Args:
        folder: see above.
        size: height and width of all; by default their own, if they are small and of one size, else USUAL_SIZE.
        strict: whether an image that cannot be read is an error; otherwise it is left out, and told.

    Raises:
        InputError: if there are no images, or fewer than two classes.
    """
    files = list_images(folder)
    labels = [_label(folder, file) for file in files]
    tests = np.array([file.relative_to(folder).parts[0] == TEST_FOLDER for file in files])
    return _dataset(folder, files, labels, tests, size, strict)


def _dataset(
    folder: Path,
    files: Sequence[Path],
    labels: Sequence[str | None],
    tests: np.ndarray,
    size: int | None,
    strict: bool,
) -> Dataset:
    """The images of `files` with their labels; `tests` [N] tells which are for the report."""
    images, kept, skipped = read_images(files, _shape(files, size))
    if skipped and strict:
        raise InputError(f"Expected images that can be read. Received: {skipped[0]}")
    if not len(images):
        raise InputError(f"Expected images that can be read in {folder}. Received: {len(files)} that cannot")
    if images.shape[-1] == 3 and (images == images[..., :1]).all():
        images = images[..., :1]
    names = tuple(sorted({label for label in labels if label is not None}))
    if len(names) == 1:
        raise InputError(f"Expected folders of two classes or more in {folder}. Received: {line(names[0])}")
    codes = np.array([UNLABELED if label is None else names.index(label) for label in labels], np.int64)[kept]
    absent = set(range(len(names))) - set(codes[~tests[kept]].tolist())
    if absent:
        raise InputError(f"Expected an image of class {names[min(absent)]!r} for training in {folder}. Received none")
    train, judged = ~tests[kept], tests[kept] & (codes != UNLABELED)
    ids = np.array([str(file.relative_to(folder)) for file in files])[kept]
    shape = "x".join(map(str, images.shape[1:3])) + (", colour" if images.shape[-1] == 3 else ", grey")
    notes = (f"{len(images)} images of {shape}", *skipped[:SHOWN], *_rest(skipped))
    return Dataset(
        images[train], codes[train], images[judged], codes[judged], names, likelihood_of(images), ids=ids[train],
        notes=notes, resized=True,
    )  # fmt: skip


def list_images(folder: Path) -> list[Path]:
    """The image files in `folder` and its folders, sorted; links that lead out of it are no part of it."""
    if not folder.is_dir():
        raise InputError(f"Expected a folder of images. Received: {folder}")
    root = folder.resolve()
    files = [
        file
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() in SUFFIXES and file.is_file() and file.resolve().is_relative_to(root)
    ]
    if not files:
        raise InputError(f"Expected images ({', '.join(SUFFIXES)}) in {folder}. Received none")
    return files


def read_images(files: Sequence[Path], shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The images of `files` that can be read, bytes [n, *shape], their places among `files` [n], and what is amiss."""
    _decoder(tuple(shape))  # traced once, before threads ask for it
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda file: _read(file, tuple(shape)), files))
    kept = np.array([place for place, image in enumerate(found) if not isinstance(image, str)], np.int64)
    images = np.zeros([len(kept), *shape], np.uint8)
    for row, place in enumerate(kept):
        images[row] = found[place]
    return images, kept, [image for image in found if isinstance(image, str)]


def batches(folder: Path, shape: Sequence[int]) -> Iterator[tuple[list[str], np.ndarray]]:
    """Names and images of a folder of any form, some at a time. Raises InputError for an image that cannot be read."""
    files = list_images(folder)
    for first in range(0, len(files), BATCH):
        some = files[first : first + BATCH]
        images, _, skipped = read_images(some, shape)
        if skipped:
            raise InputError(f"Expected images that can be read. Received: {skipped[0]}")
        yield [str(file.relative_to(folder)) for file in some], images


def _read(file: Path, shape: tuple[int, ...]) -> np.ndarray | str:
    """The bytes [*shape] of an image, or a line on why it cannot be read."""
    try:
        data = tf.constant(file.read_bytes())
        if not bool(_readable(data)):
            return f"{line(file)}: no PNG, JPEG, GIF or BMP, or too large"
        return _decoder(shape)(data).numpy().astype(np.uint8)
    except (OSError, tf.errors.OpError) as error:
        return f"{line(file)}: {line(str(error).splitlines()[0])[:120]}"


_readable = tf.function(is_readable, input_signature=[tf.TensorSpec([], tf.string)])


@functools.cache
def _decoder(shape: tuple[int, ...]) -> Callable[[tf.Tensor], tf.Tensor]:
    one = tf.function(lambda data: decode(data, shape), input_signature=[tf.TensorSpec([], tf.string)])
    return one.get_concrete_function()


def _label(folder: Path, file: Path) -> str | None:
    """The class of an image by its folder; None in `unlabeled` and directly in the folder."""
    parts = file.relative_to(folder).parts[:-1]
    parts = parts[1:] if parts[:1] == (TEST_FOLDER,) else parts
    return None if not parts or parts[0] == UNLABELED_FOLDER else parts[0]


def _shape(files: Sequence[Path], size: int | None) -> tuple[int, int, int]:
    """Height, width and channels that all images become."""
    if size is not None:
        return size, size, 3
    some = Counter(_size(file) for file in files[:: max(1, len(files) // 200)])
    (height, width), _ = some.most_common(1)[0]
    if len(some) == 1 and 0 < max(height, width) <= LARGEST_SIZE:
        return height, width, 3
    return USUAL_SIZE, USUAL_SIZE, 3


def _size(file: Path) -> tuple[int, int]:
    try:
        data = tf.constant(file.read_bytes())
        return tuple(tf.io.decode_image(data, expand_animations=False).shape[:2]) if bool(_readable(data)) else (0, 0)
    except (OSError, tf.errors.OpError):
        return 0, 0


def _rest(skipped: Sequence[str]) -> list[str]:
    return [f"and {len(skipped) - SHOWN} more that cannot be read"] if len(skipped) > SHOWN else []
