"""Trainings in a process of their own, which is replaced when it has grown.

XLA gives back what it has compiled, some 200 MiB a training, only when its process ends.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tfadgm.errors import InputError, TrainingError
from tuner.objectives import Judge

FULL = 2 * 2**30  # bytes; a process that has held more takes no further trial
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


class Apart:
    """Calls a judge in another process. Used in a `with` statement, which ends the process.

    judge: what is called.
    threads: of the process; by default as many as TensorFlow takes.
    """

    def __init__(self, judge: Judge, threads: int | None = None) -> None:
        self.judge, self.threads, self.base = judge, threads, judge.base
        self.process: BaseProcess | None = None
        self.connection: Connection | None = None

    def __call__(
        self, values: dict[str, Any], folder: Path, seed: int = 0, epochs: int | None = None
    ) -> dict[str, float]:
        """As `Judge`, with TrainingError also for want of memory, and RuntimeError for any mistake or crash."""
        if self.process is None or self.connection is None:
            self.process, self.connection = self._started()
        held = FULL
        try:
            self.connection.send((values, folder, seed, epochs))
            found, held = self.connection.recv()
        except (EOFError, ConnectionError):
            self.process.join()
            told = f"Expected trainings to end. Received the end of their process, exit status {self.process.exitcode}"
            if self.process.exitcode == -signal.SIGKILL:
                raise TrainingError(f"{told}: is there enough memory?") from None
            raise RuntimeError(told) from None
        finally:
            if held >= FULL:
                self.end()
        if isinstance(found, Exception):
            raise found
        return found

    def end(self) -> None:
        """Ends the process; a further call starts another."""
        if self.process is not None and self.connection is not None:
            self.process.terminate()
            self.process.join()
            self.connection.close()
        self.process = self.connection = None

    def _started(self) -> tuple[BaseProcess, Connection]:
        own, other = multiprocessing.Pipe()
        process = spawn(_answer, other, self.judge, self.threads, daemon=True)
        other.close()
        return process, own

    def __enter__(self) -> Apart:
        return self

    def __exit__(self, *_: Any) -> None:
        self.end()


def _answer(connection: Connection, judge: Judge, threads: int | None) -> None:
    """The main function of the other process: to every call its scores or its error, and the bytes held at most."""
    set_threads(threads)
    from tensorflow.errors import ResourceExhaustedError

    logging.getLogger("tensorflow").setLevel("ERROR")  # every trial traces its own functions, which it would warn of
    while True:
        found: dict[str, float] | Exception
        try:
            found = judge(*connection.recv())
        except (InputError, TrainingError) as error:
            found = error
        except (MemoryError, ResourceExhaustedError) as error:
            found = TrainingError(f"Expected enough memory. Received: {(str(error).splitlines() or ['none'])[0]}")
        except Exception:
            found = RuntimeError(traceback.format_exc())  # not every error can be sent
        connection.send((found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT))


def set_threads(threads: int | None) -> None:
    """Chooses how many threads this process computes with, unless the user has; before its first operation."""
    if threads is not None:
        for kind in ("INTRA", "INTER"):
            os.environ.setdefault(f"TF_NUM_{kind}OP_THREADS", str(threads))


def spawn(target: Callable[..., None], *arguments: Any, daemon: bool = False) -> BaseProcess:
    """Starts `target` in a new process, which leaves interrupts of the terminal to this one and ends with it."""
    process = multiprocessing.get_context("spawn").Process(
        target=_with_parent, args=(target, *arguments), daemon=daemon
    )
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # which the process inherits
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return process


def _with_parent(target: Callable[..., None], *arguments: Any) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    target(*arguments)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
