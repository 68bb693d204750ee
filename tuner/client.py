"""A worker's side of Keras Tuner's service: patient while the chief is away for a moment, and not for longer."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from tfadgm.errors import TrainingError, extra
from tuner.keras_tuner_private import OracleClient, Trial, messages, stub

with extra("tune"):
    import grpc

PATIENCE = 40.0  # seconds without an answer after which a worker gives up
BEAT = 5.0  # seconds between two signs of life of a worker
MOST_TOLD = 4000  # bytes of an error; gRPC takes a few thousand beside a call
CHANNEL = [("grpc.max_reconnect_backoff_ms", 2000), ("grpc.enable_http_proxy", 0)]


class ChiefLost(Exception):  # noqa: N818
    """No chief answers."""


class TrialTaken(TrainingError):  # noqa: N818
    """Another process has the trial, or the name, of this one, which has been silent for too long."""


class Client(OracleClient):
    """The oracle of the chief at `address`, HOST:PORT, as a worker sees it; `oracle` is one of the same search."""

    should_report, multi_worker = True, False  # what Keras Tuner's constructor, which reads the environment, sets too

    def __init__(self, oracle: Any, address: str) -> None:
        self._oracle, self.stub, self.process = oracle, PatientStub(address), uuid.uuid4().hex

    def create_trial(self, tuner_id: str) -> Any:
        """As Keras Tuner's, with a word on which process asks: another under the same name has lost its trial."""
        request = messages.CreateTrialRequest(tuner_id=tuner_id)
        return Trial.from_proto(self.stub.CreateTrial(request, metadata=[("process", self.process)]).trial)

    def end_trial(self, trial: Any) -> None:
        """As Keras Tuner's, with the reason of a failure, which its protocol leaves out."""
        reason = (trial.message or "").strip().splitlines()[-1:]
        metadata = [("process", self.process), *(("reason-bin", line[:1000].encode()) for line in reason)]
        self.stub.EndTrial(messages.EndTrialRequest(trial=trial.to_proto()), metadata=metadata)

    def tell_mistake(self, error: Exception) -> None:
        """Tells the chief of an error that ends the search."""
        told = f"{type(error).__name__}: {error}".encode()[-MOST_TOLD:]
        with contextlib.suppress(ChiefLost, grpc.RpcError):
            self.stub.EndTrial(messages.EndTrialRequest(), metadata=[("mistake-bin", told)])

    @contextlib.contextmanager
    def beating(self, trial_id: str) -> Iterator[None]:
        """Tells the chief every few seconds that the trial is being worked on.

        Raises:
            ChiefLost: if the chief does not answer; what is done within the context is interrupted.
            TrialTaken: if another process has the trial; likewise.
        """
        done, lost = threading.Event(), []
        request, metadata = messages.GetTrialRequest(trial_id=trial_id), [("process", self.process)]

        def beat() -> None:
            while not done.wait(BEAT):
                try:
                    self.stub.GetTrial(request, metadata=metadata)
                except (ChiefLost, TrialTaken) as error:
                    if not done.is_set():
                        lost.append(error)
                        os.kill(os.getpid(), signal.SIGTERM)  # the scripts turn it into an interrupt
                    return
                except grpc.RpcError:
                    continue  # the chief has its troubles; the next beat may find it better

        threading.Thread(target=beat, daemon=True).start()
        try:
            yield
        except KeyboardInterrupt:
            if lost:
                raise lost[0] from None
            raise
        finally:
            done.set()


class PatientStub:
    """The calls of the service at `address`, repeated while the chief is away."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.calls = stub(grpc.insecure_channel(address, CHANNEL))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self.calls, name)

        def patient(request: Any, metadata: Any = None, **_: Any) -> Any:
            end = time.monotonic() + PATIENCE
            while True:
                try:
                    timeout = max(end - time.monotonic(), 0.1)
                    return call(request, metadata=metadata, wait_for_ready=True, timeout=timeout)
                except grpc.RpcError as error:
                    if error.code() == grpc.StatusCode.ABORTED:
                        raise TrialTaken(f"Expected to hold a trial. Received {error.details()}") from None
                    if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                        raise
                    if time.monotonic() >= end:
                        raise ChiefLost(
                            f"Expected the chief of the search at {self.address}. Received no answer for "
                            f"{PATIENCE:.0f} s: start it with the same flags and --chief"
                        ) from None
                    time.sleep(0.5)

        return patient
