"""What the scripts share: how they read flags and how they end."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from tfadgm.errors import InputError, TrainingError, VerificationError


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are InputErrors, told in one line like all others.

    A file of flags, where it takes one, is read like lines of a shell.
    """

    def error(self, message: str) -> NoReturn:
        raise InputError(f"Expected flags as in --help. Received: {message}")

    def convert_arg_line_to_args(self, arg_line: str) -> list[str]:
        try:
            return shlex.split(arg_line, comments=True)
        except ValueError as error:
            raise InputError(
                f"Expected a file of flags as a shell reads them. Received {arg_line!r}: {error}"
            ) from None


def exit_status(name: str, main: Callable[[], None]) -> int:
    """Runs `main`: 0 if it ends well, 2 for bad input, 1 if the work itself fails, 130 if the user stops it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main()
    except (InputError, TrainingError, VerificationError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    except KeyboardInterrupt as interrupt:
        print(f"\n{name}: interrupted. {interrupt}".rstrip(), file=sys.stderr)
        return 130
    return 0
