"""A worker of a chief on this or another machine, and the roles that flags and environment give."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import Any

from tfadgm.errors import InputError
from tuner.client import ChiefLost, Client, TrialTaken, grpc
from tuner.keras_tuner_private import oracle_of
from tuner.process import ScorerProcess
from tuner.search import Search
from tuner.spec import check_same, make_spec


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
    spec = make_spec(flags)
    client = Client(oracle_of(spec), flags.address)
    try:
        client.get_space()  # the chief makes the folder before it answers
        check_same(spec)
        with ScorerProcess(spec.scorer) as scorer:
            run(client, scorer, flags.worker, Search(client, spec.folder, bool(spec.scorer.base.decay)))
    except (ChiefLost, TrialTaken) as error:
        raise InputError(str(error)) from None
    except grpc.RpcError as error:
        told = f"{error.code().name}: {error.details()}"
        raise InputError(f"Expected the chief of the search at {flags.address}. Received {told}") from None


def run(client: Client, scorer: Any, worker: str, search: Search) -> None:
    """Runs trials under the name `worker`; the chief hears of each while it runs, and of a mistake."""

    def heard(values: dict[str, Any], folder: Path, epochs: int | None = None) -> dict[str, float]:
        with client.beating(folder.name):
            return scorer(values, folder, epochs=epochs)

    try:
        search.run(heard, worker)
    except (ChiefLost, TrialTaken, grpc.RpcError):
        raise
    except Exception as error:
        client.tell_mistake(error)
        raise


def threads_of(workers: int) -> int:
    """The threads of each of so many processes that share the cores of this one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // workers)
