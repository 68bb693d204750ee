"""Imports TensorFlow without the lines about missing hardware that 2.21 writes before it reads its own log level.

Nothing is hidden from a user who has set TF_CPP_MIN_LOG_LEVEL below 3. Keras uses TensorFlow, whatever
`~/.keras/keras.json` says.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Drops what any library writes to the standard error stream of the process, but not how it crashes."""
    try:
        kept = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    watched = not faulthandler.is_enabled()
    if watched:
        faulthandler.enable(kept)
    with open(os.devnull, "w") as devnull:
        os.dup2(devnull.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        if watched:
            faulthandler.disable()
        os.close(kept)


if sys.platform == "win32":
    sys.exit("tfadgm: Expected Linux or macOS. Received Windows: use the Windows Subsystem for Linux (WSL 2)")
if os.environ.setdefault("KERAS_BACKEND", "tensorflow") != "tensorflow":
    sys.exit(f"tfadgm: Expected Keras on TensorFlow. Received KERAS_BACKEND={os.environ['KERAS_BACKEND']}: unset it")
if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "3" and "tensorflow" not in sys.modules:
    with quiet_stderr():
        import tensorflow  # noqa: F401

import keras  # noqa: E402

if keras.config.floatx() != "float32":
    keras.config.set_floatx("float32")  # as every file and signature has it
