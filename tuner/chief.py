"""The chief of a search: Keras Tuner's service, which here outlives its workers.

A worker holds a trial as long as it is heard of. When it has been silent for LEASE seconds, or another process asks for
a trial under its name, its trial goes to whoever asks next, and goes on from its checkpoints; a worker that wakes up
later is told so. A trial whose workers are lost twice has failed. A chief that is started anew leaves the trials with
their workers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tfadgm.errors import InputError, TrainingError, extra
from tuner.client import PATIENCE
from tuner.keras_tuner_private import ENDED, HyperParameters, OracleServicer, Trial, add_to_server, messages
from tuner.progress import tell
from tuner.search import PAUSE, outcome

with extra("tune"):
    import grpc

LEASE = PATIENCE + 15.0  # seconds; a worker without a chief has given up by then
FAREWELL = 10 * PAUSE  # seconds in which an idle worker would have asked again
CALLS = 32  # that are answered at a time


class Chief(OracleServicer):
    """Answers workers. One thread does all that touches the oracle; signs of life do not wait for it.

    oracle: that of the search.
    expect: whether workers of an earlier chief may still be at work.
    """

    def __init__(self, oracle: Any, expect: bool = False) -> None:
        super().__init__(oracle)
        self.thread = ThreadPoolExecutor(max_workers=1)
        self.drawing = False  # values of a trial, which may take many seconds
        self.failure: Exception | None = None  # that ends the search: a worker's mistake, or a full disk
        self.heard: dict[str, float] = {}  # when a worker was last heard of
        self.processes: dict[str, str] = {}  # of workers that asked for a trial
        self.replaced: set[str] = set()  # processes whose name another has taken
        self.looked = time.monotonic()
        self.earliest_end = self.looked + FAREWELL if expect else self.looked
        if expect:
            for worker, trial in oracle.held.items():
                if trial.trial_id in oracle.waiting:
                    oracle.waiting.remove(trial.trial_id)
                    trial.status = "RUNNING"
                    oracle.ongoing_trials[worker] = trial
                    self.heard[worker] = self.looked

    def CreateTrial(self, request: Any, context: Any) -> Any:  # noqa: N802
        worker, process = request.tuner_id, _metadata(context).get("process", "")
        if process in self.replaced:
            context.abort(grpc.StatusCode.ABORTED, f"another process that calls itself {worker}: give it another name")
        if self.drawing:
            self.heard[worker] = time.monotonic()
            trial = Trial(HyperParameters(), "", "IDLE")
        else:
            trial = self._in_thread(self._create, worker, process)
        return messages.CreateTrialResponse(trial=trial.to_proto())

    def GetTrial(self, request: Any, context: Any) -> Any:  # noqa: N802
        worker = self._holder(request.trial_id)
        if self._is_of_another(worker, _metadata(context).get("process")):
            context.abort(grpc.StatusCode.ABORTED, f"{worker}, which has it now")
        if worker is not None:
            self.heard[worker] = time.monotonic()
        return super().GetTrial(request, context)

    def GetBestTrials(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._in_thread(super().GetBestTrials, request, context)

    def UpdateTrial(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._in_thread(self._update, request, context)

    def EndTrial(self, request: Any, context: Any) -> Any:  # noqa: N802
        told = _metadata(context)
        if "mistake-bin" in told:
            mistake = told["mistake-bin"].decode(errors="replace")
            self.failure = TrainingError(f"Expected trials without mistakes. Received in a worker: {mistake}")
            return messages.EndTrialResponse()
        trial = Trial.from_proto(request.trial)
        trial.message = told.get("reason-bin", b"").decode(errors="replace") or None
        self._in_thread(self._end, trial, told.get("process"))
        return messages.EndTrialResponse()

    def over(self) -> bool:
        """Takes their trials from silent workers; whether the search has ended and all workers know it."""
        now, oracle = time.monotonic(), self.oracle
        if now - self.looked > FAREWELL:  # this process has slept, and could not hear anybody
            self.heard.update(dict.fromkeys(list(self.heard), now))
        self.looked = now
        for worker in [name for name in oracle.ongoing_trials if now - self.heard[name] > LEASE]:
            self.lose(worker, f"has been silent for {LEASE:.0f} s")
        drawn = oracle.max_trials is not None and len(oracle.trials) >= oracle.max_trials
        if oracle.ended or (drawn and not oracle.ongoing_trials and not oracle.waiting):
            self.stop_triggered = True
        told = all(now - heard > FAREWELL for heard in list(self.heard.values()))  # to which threads of calls add
        return self.stop_triggered and told and now >= self.earliest_end

    def lose(self, worker: str, how: str) -> None:
        """Forgets a worker; the trial that it holds is for another."""
        self.heard.pop(worker, None)
        process = self.processes.pop(worker, None)
        trial = self.oracle.ongoing_trials.get(worker)
        if trial is None:
            return
        tell(f"Trial {trial.trial_id}: {worker} {how}")
        if process is None:  # given by an earlier chief: this may be no fault of the trial
            self.oracle.ongoing_trials.pop(worker)
            self.oracle.waiting.append(trial.trial_id)
            return
        trial.status, trial.message = "INVALID", f"its worker {how}"
        self.oracle.end_trial(trial)
        if trial.status == "FAILED":
            tell(outcome(self.oracle, trial.trial_id))

    def _create(self, worker: str, process: str) -> Trial:
        if worker in self.oracle.ongoing_trials and self.processes.get(worker, process) != process:
            self.replaced.add(self.processes[worker])
            self.lose(worker, "was started anew")
        self.heard[worker], self.processes[worker] = time.monotonic(), process
        self.drawing = True
        try:
            trial = self.oracle.create_trial(worker)
        finally:
            self.drawing = False
        self.heard[worker] = time.monotonic()
        if trial.status == "STOPPED" and self.oracle.ongoing_trials:
            trial.status = "IDLE"  # a trial may yet be lost
        elif trial.status == "STOPPED":
            self.oracle.ended = True
            self.oracle.save()
            del self.heard[worker]
        return trial

    def _update(self, request: Any, context: Any) -> Any:
        if self.oracle.trials[request.trial_id].status in ENDED:  # by another worker
            return messages.UpdateTrialResponse()
        return super().UpdateTrial(request, context)

    def _end(self, trial: Trial, process: str | None) -> None:
        if self.oracle.trials[trial.trial_id].status in ENDED:
            return
        if self._is_of_another(self._holder(trial.trial_id), process):
            return
        if trial.trial_id in self.oracle.waiting:  # its worker was thought lost
            self.oracle.waiting.remove(trial.trial_id)
        self.oracle.end_trial(trial)
        tell(outcome(self.oracle, trial.trial_id))

    def _holder(self, trial_id: str) -> str | None:
        """The worker that has the trial."""
        held = list(self.oracle.ongoing_trials.items())
        return next((worker for worker, trial in held if trial.trial_id == trial_id), None)

    def _is_of_another(self, worker: str | None, process: str | None) -> bool:
        """Whether `worker` is another process than `process`, as far as either is known."""
        own = self.processes.get(worker or "", process)
        return process is not None and own != process

    def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What `function` returns in the thread of the oracle. An InputError, of a full disk, ends the search."""
        try:
            return self.thread.submit(function, *arguments).result()
        except InputError as error:
            self.failure = error
            raise


def _metadata(context: Any) -> dict[str, Any]:
    return dict(context.invocation_metadata())


def announce(port: int) -> None:
    tell(f"The chief listens at port {port}")


def serve(chief: Chief, address: str, started: Callable[[int], None] = announce) -> None:
    """Serves at `address`, HOST:PORT, until the search has ended. Calls `started` with the port.

    Raises:
        InputError: if the address cannot be listened on, or the disk does not take a trial.
        TrainingError: if a worker tells of a mistake.
    """
    server = grpc.server(ThreadPoolExecutor(CALLS), options=[("grpc.so_reuseport", 0)])
    add_to_server(chief, server)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError:
        raise InputError(f"Expected a free address of this machine for the chief. Received: {address}") from None
    server.start()
    try:
        started(port)
        while not chief.thread.submit(chief.over).result():
            if chief.failure is not None:
                raise chief.failure
            time.sleep(0.2)
    finally:
        server.stop(grace=1).wait()
