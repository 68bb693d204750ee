"""Files that are replaced whole, folders that are complete or absent, and one process at a time.

What is written goes to the disk under another name first (`partial`), is synced there and then renamed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tfadgm.errors import InputError

LOCK = ".lock"


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tells a full or unwritable disk in one line."""
    try:
        yield
    except OSError as error:
        raise InputError(f"Expected to write to {path}. Received: {error}") from error


def write_text(path: Path, text: str) -> None:
    """Replaces `path`. Raises InputError if the disk does not take it; the old file stays."""
    replace_file(path, lambda partial: partial.write_text(text))


def write_json(path: Path, content: Any, indent: int | None = 2) -> None:
    """Replaces `path` by `content` as JSON."""
    write_text(path, json.dumps(content, indent=indent) + "\n")


def write_arrays(path: Path, **arrays: Any) -> None:
    """Replaces the .npz file `path`."""
    replace_file(path, lambda partial: np.savez(partial, **arrays))


def replace_file(path: Path, write: Callable[[Path], Any]) -> None:
    """Replaces `path` by what `write` writes to a file of the same ending."""
    partial = path.with_name(f"{path.stem}.partial{path.suffix}")
    with writing(path):
        write(partial)
        sync(partial)
        partial.replace(path)
        sync(path.parent)


@contextlib.contextmanager
def new_folder(final: Path, partial: Path) -> Iterator[Path]:
    """A folder to fill, `partial`, which then becomes `final`, in place of what is there."""
    shutil.rmtree(partial, ignore_errors=True)
    with writing(final):
        partial.mkdir(parents=True)
        yield partial
        for path in partial.rglob("*"):
            sync(path)
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
        sync(final.parent)


def sync(path: Path) -> None:
    """Waits until the file or folder is on the disk, so that a rename never comes before what it names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(folder: Path, what: str, wait: bool = False) -> Iterator[None]:
    """Keeps other processes out of `folder`, which exists; `what` it holds is told to them.

    Raises:
        InputError: if another process has it and this one does not `wait`, or the file system has no locks.
    """
    with contextlib.ExitStack() as stack:
        with writing(folder):
            lock = stack.enter_context((folder / LOCK).open("a"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise InputError(f"Expected {what} that is not running. Received {folder}, which is in use") from None
        except OSError as error:
            raise InputError(f"Expected a file system with locks for {folder}. Received: {error}") from None
        yield


def digest(*arrays: np.ndarray, after: bytes = b"") -> str:
    """sha256 of shapes, types and contents, after some bytes."""
    found = hashlib.sha256(after)
    for array in arrays:
        found.update(repr((array.shape, array.dtype.str)).encode())
        found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def file_digest(*paths: Path) -> str:
    """sha256 of the contents of files, one after the other."""
    found = hashlib.sha256()
    for path in paths:
        found.update(path.read_bytes())
    return found.hexdigest()
