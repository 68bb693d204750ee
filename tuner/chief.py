"""The chief of a search: Keras Tuner's service, which here outlives its workers.

A worker holds a trial as long as it is heard of. When it has been silent for LEASE seconds, or asks for a trial while
it holds one because it was started anew, its trial goes to whoever asks next, and goes on from its checkpoints. A trial
whose workers are lost twice has failed. A chief that is started anew leaves the trials with their workers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from keras_tuner.src import protos
from keras_tuner.src.distribute import oracle_chief
from keras_tuner.src.engine.trial import Trial

from tfadgm.errors import InputError
from tuner.client import PATIENCE, PAUSE
from tuner.search import outcome

LEASE = PATIENCE + 15.0  # seconds; a worker without a chief has given up by then
FAREWELL = 10 * PAUSE  # seconds in which an idle worker would have asked again
ENDED = "COMPLETED", "FAILED"


class Chief(oracle_chief.OracleServicer):
    """Answers workers, one at a time.

    oracle: that of the search.
    expect: whether workers of an earlier chief may still be at work.
    """

    def __init__(self, oracle: Any, expect: bool = False) -> None:
        super().__init__(oracle)
        self.heard: dict[str, float] = {}  # when a worker was last heard of
        self.given: set[str] = set()  # trials that this chief has given to a worker
        if expect:
            for worker, trial in oracle.held.items():
                if trial.trial_id in oracle._retry_queue:
                    oracle._retry_queue.remove(trial.trial_id)
                    oracle.ongoing_trials[worker] = trial
                    self.heard[worker] = time.monotonic()

    def CreateTrial(self, request: Any, context: Any) -> Any:  # noqa: N802
        worker = request.tuner_id
        held = self.oracle.ongoing_trials.get(worker)
        if held is not None and held.trial_id in self.given:
            self.lose(worker, "was started anew")
        self.heard[worker] = time.monotonic()
        trial = self.oracle.create_trial(worker)
        if trial.status == "RUNNING":
            self.given.add(trial.trial_id)
        elif trial.status == "STOPPED" and self.oracle.ongoing_trials:
            trial.status = "IDLE"  # a trial may yet be lost
        elif trial.status == "STOPPED":
            self.stop_triggered = True
            del self.heard[worker]
        return protos.get_service().CreateTrialResponse(trial=trial.to_proto())

    def GetTrial(self, request: Any, context: Any) -> Any:  # noqa: N802
        for worker, trial in self.oracle.ongoing_trials.items():
            if trial.trial_id == request.trial_id:
                self.heard[worker] = time.monotonic()
        return super().GetTrial(request, context)

    def UpdateTrial(self, request: Any, context: Any) -> Any:  # noqa: N802
        if self.oracle.trials[request.trial_id].status in ENDED:  # by another worker
            return protos.get_service().UpdateTrialResponse()
        return super().UpdateTrial(request, context)

    def EndTrial(self, request: Any, context: Any) -> Any:  # noqa: N802
        trial = Trial.from_proto(request.trial)
        if self.oracle.trials[trial.trial_id].status not in ENDED:
            if trial.trial_id in self.oracle._retry_queue:  # its worker was thought lost
                self.oracle._retry_queue.remove(trial.trial_id)
            reason = dict(context.invocation_metadata()).get("reason-bin")
            trial.message = reason.decode(errors="replace") if reason else None
            self.oracle.end_trial(trial)
            print(outcome(self.oracle, trial.trial_id), flush=True)
        return protos.get_service().EndTrialResponse()

    def over(self) -> bool:
        """Takes their trials from silent workers; whether the search has ended and all workers know it."""
        now = time.monotonic()
        for worker in [name for name in self.oracle.ongoing_trials if now - self.heard[name] > LEASE]:
            self.lose(worker, f"has been silent for {LEASE:.0f} s")
        return self.stop_triggered and all(now - heard > FAREWELL for heard in self.heard.values())

    def lose(self, worker: str, how: str) -> None:
        """Forgets a worker; the trial that it holds is for another."""
        self.heard.pop(worker, None)
        trial = self.oracle.ongoing_trials.get(worker)
        if trial is None:
            return
        print(f"Trial {trial.trial_id}: {worker} {how}", flush=True)
        if trial.trial_id in self.given:
            trial.status, trial.message = "INVALID", f"its worker {how}"
            self.oracle.end_trial(trial)
        else:  # given by an earlier chief: this may be no fault of the trial
            self.oracle.ongoing_trials.pop(worker)
            self.oracle._retry_queue.append(trial.trial_id)


def announce(port: int) -> None:
    print(f"The chief listens at port {port}", flush=True)


def serve(
    chief: Chief, address: str, started: Callable[[int], None] = announce, look: Callable[[], None] = lambda: None
) -> None:
    """Serves at `address`, HOST:PORT, until the search has ended.

    Calls `started` with the port and then `look` often, in the thread that answers the workers.

    Raises:
        InputError: if the address cannot be listened on.
    """
    executor = ThreadPoolExecutor(max_workers=1)  # of all that touches the oracle
    server = grpc.server(executor, options=[("grpc.so_reuseport", 0)])
    protos.get_service_grpc().add_OracleServicer_to_server(chief, server)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError:
        raise InputError(f"Expected a free address of this machine for the chief. Received: {address}") from None
    server.start()
    try:
        started(port)
        while not executor.submit(chief.over).result():
            executor.submit(look).result()
            time.sleep(0.2)
    finally:
        server.stop(grace=1).wait()
