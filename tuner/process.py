"""Trainings in a process of their own, which is replaced when it has grown.

XLA gives back what it has compiled, some 200 MiB a training, only when its process ends. A standard process pool tells
neither how much its process holds nor by which signal it ended, and outlives a killed parent.
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

CONTEXT = "spawn"  # TensorFlow does not survive a fork
FULL = 2 * 2**30  # bytes; a process that has held more takes no further trial
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024

Scorer = Callable[..., dict[str, float]]  # a `TrialScorer`, or what is called like one


class ProcessKilled(TrainingError):  # noqa: N818
    """The process of a training was killed, by a user or for want of memory."""


class ScorerProcess:
    """Calls a scorer in another process. Used in a `with` statement, which ends the process.

    Args:
        scorer: what is called; it can be sent to another process.
        threads: of the process; by default as many as TensorFlow takes.
    """

    def __init__(self, scorer: Scorer, threads: int | None = None) -> None:
        self.scorer, self.threads = scorer, threads
        self.process: BaseProcess | None = None
        self.connection: Connection | None = None

    def __call__(
        self, values: dict[str, Any], folder: Path, seed: int = 0, epochs: int | None = None
    ) -> dict[str, float]:
        """The scores.

        Raises:
            TrainingError: as the scorer does, for want of memory too; ProcessKilled if the process is killed.
            RuntimeError: for any mistake or crash.
        """
        if self.process is None or self.connection is None:
            self.process, self.connection = self._started()
        process, connection, held = self.process, self.connection, FULL  # an interrupt may `end` them meanwhile
        try:
            connection.send((values, folder, seed, epochs))
            found, held = connection.recv()
        except (EOFError, ConnectionError):
            process.join()
            told = f"Expected trainings to end. Received the end of their process, exit status {process.exitcode}"
            if process.exitcode == -signal.SIGKILL:
                raise ProcessKilled(f"{told}: is there enough memory?") from None
            raise RuntimeError(told) from None
        finally:
            if held >= FULL:
                self.end()
        if isinstance(found, Exception):
            raise found
        return found

    def end(self) -> None:
        """Ends the process; a further call starts another."""
        process, connection, self.process, self.connection = self.process, self.connection, None, None
        if process is not None and connection is not None:
            process.terminate()
            process.join()
            connection.close()

    def _started(self) -> tuple[BaseProcess, Connection]:
        context: Any = multiprocessing.get_context(CONTEXT)
        own, other = multiprocessing.Pipe()
        process = context.Process(target=_answer, args=(other, self.scorer, self.threads), daemon=True)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # inherited: the parent has the terminal's
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        other.close()
        return process, own

    def __enter__(self) -> ScorerProcess:
        return self

    def __exit__(self, *_: Any) -> None:
        self.end()


def _answer(connection: Connection, scorer: Scorer, threads: int | None) -> None:
    """The main function of the other process: to every call its scores or its error, and the bytes held at most."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if threads is not None:
        for kind in ("INTRA", "INTER"):
            os.environ.setdefault(f"TF_NUM_{kind}OP_THREADS", str(threads))  # read at the first operation
    logging.getLogger("tensorflow").setLevel("ERROR")  # every trial traces its own functions, which it would warn of
    while True:
        call = connection.recv()
        found: dict[str, float] | Exception
        try:
            found = scorer(*call)
        except (InputError, TrainingError) as error:
            found = error
        except Exception as error:
            found = RuntimeError(traceback.format_exc())  # not every error can be sent
            if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":  # TensorFlow's
                found = TrainingError(f"Expected enough memory. Received: {(str(error).splitlines() or ['none'])[0]}")
        connection.send((found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
