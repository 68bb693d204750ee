"""Kills without a process: an exception that nothing catches, before the n-th time that something reaches the disk."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


class Killed(BaseException):
    """What SIGKILL is to a process."""


@contextlib.contextmanager
def killed_before(number: int | None) -> Iterator[list[str]]:
    """Raises Killed before the `number`-th sync, rename or removal; the list tells which there have been."""
    met: list[str] = []

    def watched(name: str, action: Callable[..., Any]) -> Callable[..., Any]:
        def act(*arguments: Any, **options: Any) -> Any:
            if number is not None and len(met) == number:
                raise Killed(f"before {name}, number {number}")
            met.append(name)
            return action(*arguments, **options)

        return act

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", watched("fsync", os.fsync))
        patch.setattr(Path, "rename", watched("rename", Path.rename))
        patch.setattr(Path, "replace", watched("replace", Path.replace))
        patch.setattr(shutil, "rmtree", watched("rmtree", shutil.rmtree))
        with contextlib.suppress(Killed):
            yield met
