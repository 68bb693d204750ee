"""The ways a command ends early, each told in one line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class InputError(ValueError):
    """The user's flags, files or data cannot be used; scripts exit with status 2."""


class TrainingError(RuntimeError):
    """Training itself went wrong (a non-finite loss); scripts exit with status 1."""


class VerificationError(RuntimeError):
    """An exported model does not do what it should; scripts exit with status 1."""


@contextlib.contextmanager
def extra(name: str) -> Iterator[None]:
    """Imports of packages that `pip install tfadgm` leaves out: InputError names the extra that brings them."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("tfadgm"):
            raise
        raise InputError(
            f"Expected the package {error.name}. Received an installation without it: pip install 'tfadgm[{name}]'"
        ) from error


def line(text: object) -> str:
    """Text of unknown origin as one line that a terminal shows and does not obey."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in str(text))
