"""Imports TensorFlow without the lines about missing hardware that 2.21 writes before it reads its own log level.

Nothing is hidden from a user who has set TF_CPP_MIN_LOG_LEVEL below 3.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Drops what any library writes to the standard error stream of the process."""
    try:
        kept = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    with open(os.devnull, "w") as devnull:
        os.dup2(devnull.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "3" and "tensorflow" not in sys.modules:
    with quiet_stderr():
        import tensorflow  # noqa: F401
