"""Workers of a search: one in this process, or several in processes of their own that share the cores."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from multiprocessing.process import BaseProcess
from typing import Any

import grpc

from tfadgm.cli import exit_status
from tfadgm.errors import InputError, TrainingError
from tuner.apart import Apart, set_threads, spawn
from tuner.chief import Chief, serve
from tuner.client import ChiefLost, Client, TrialTaken
from tuner.plan import check_same, make_plan
from tuner.progress import tell
from tuner.search import Search


def take_role(flags: argparse.Namespace) -> None:
    """Lets Keras Tuner's three environment variables stand for --chief, --worker and --address.

    Raises:
        InputError: if one of them is missing, or roles, names or the address cannot be.
    """
    names = "KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT"
    role, host, port = (os.environ.pop(name, None) for name in names)
    if role is not None or host is not None:
        if not role or not host or not port:
            raise InputError(f"Expected all of {', '.join(names)}. Received {role}, {host}, {port}")
        flags.chief, flags.worker = "chief" in role, None if "chief" in role else role
        flags.address = f"{host}:{port}"
    host, _, port = flags.address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise InputError(f"Expected the chief's address as HOST:PORT. Received: {flags.address}")
    if flags.worker and (
        not re.fullmatch(r"[\w-]+", flags.worker) or "chief" in flags.worker or flags.worker == "oracle"
    ):
        raise InputError(f"Expected a worker's name of letters and digits, without chief. Received: {flags.worker}")
    if flags.workers > 1 and (flags.chief or flags.worker):
        raise InputError("Expected --workers without --chief and --worker. Received both")


def work(flags: argparse.Namespace) -> None:
    """Makes this process a worker, which runs trials of the chief's search until there are none left.

    Raises:
        InputError: if no chief answers, its search is another, or another process has the name of this worker.
    """
    host, _, port = flags.address.rpartition(":")
    os.environ |= {
        "KERASTUNER_TUNER_ID": flags.worker, "KERASTUNER_ORACLE_IP": host, "KERASTUNER_ORACLE_PORT": port,
    }  # fmt: skip
    plan = make_plan(flags)
    try:
        Client(plan.oracle()).get_space()  # the chief makes the folder before it answers
        check_same(plan)
        with Apart(plan.judge) as judge:
            Search(plan.oracle(), judge, plan.folder).search()
    except (ChiefLost, TrialTaken) as error:
        raise InputError(str(error)) from None
    except grpc.RpcError as error:
        told = f"{error.code().name}: {error.details()}"
        raise InputError(f"Expected the chief of the search at {flags.address}. Received {told}") from None


def with_workers(oracle: Any, flags: argparse.Namespace) -> None:
    """Runs the search of `oracle` in `flags.workers` processes on this machine, with this one as their chief.

    Raises:
        TrainingError: if a worker fails.
    """
    chief, workers = Chief(oracle), Workers(flags)
    try:
        serve(chief, "127.0.0.1:0", workers.start_all, lambda: workers.look(chief))
    finally:
        workers.stop()


class Workers:
    """Worker processes on this machine. One that is killed is replaced; one that fails ends the search."""

    def __init__(self, flags: argparse.Namespace) -> None:
        self.names = [f"worker{number}" for number in range(1, flags.workers + 1)]
        self.flags = flags
        self.processes: dict[str, BaseProcess] = {}

    def start_all(self, port: int) -> None:
        """Starts them for the chief at `port` of this machine, with the cores shared out."""
        self.flags.address = f"127.0.0.1:{port}"
        for name in self.names:
            self._start(name)
        tell("Workers: processes " + ", ".join(str(process.pid) for process in self.processes.values()))

    def look(self, chief: Chief) -> None:
        """Replaces workers that were killed. Raises TrainingError if one has failed."""
        for name, process in self.processes.items():
            if process.exitcode is None or process.exitcode == 0 or chief.stop_triggered:
                continue
            if process.exitcode > 0 or name not in chief.heard:
                raise TrainingError(f"Expected {name} to work. Received its end with exit status {process.exitcode}")
            chief.lose(name, "was killed")
            self._start(name)

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
            process.join()

    def _start(self, name: str) -> None:
        flags = argparse.Namespace(**vars(self.flags) | {"worker": name})
        self.processes[name] = spawn(_work_for_parent, flags)


def threads_of(workers: int) -> int:
    """The threads of each of so many processes that share the cores of this one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // workers)


def _work_for_parent(flags: argparse.Namespace) -> None:
    """The main function of a worker process."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115  the chief tells of every trial
    set_threads(threads_of(flags.workers))

    def main() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # its parent ends it so
        work(flags)

    sys.exit(exit_status("tuner", main))
