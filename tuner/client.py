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

import grpc
import keras_tuner
from keras_tuner.src import protos
from keras_tuner.src.distribute import oracle_client
from keras_tuner.src.engine.trial import Trial

PATIENCE = 40.0  # seconds without an answer after which a worker gives up
BEAT = 5.0  # seconds between two signs of life of a worker
PAUSE = 1.0  # seconds before a worker that had nothing to do asks again
MOST_TOLD = 4000  # bytes of an error; gRPC takes a few thousand beside a call
CHANNEL = [("grpc.max_reconnect_backoff_ms", 2000), ("grpc.enable_http_proxy", 0)]


class ChiefLost(keras_tuner.errors.FatalError):
    """No chief answers. Keras Tuner lets errors of this kind pass."""


class TrialTaken(Exception):  # noqa: N818  not always an error: a worker goes on with another trial
    """Another process has the trial, or the name, of this one, which has been silent for too long."""


class Client(oracle_client.OracleClient):
    """The chief's oracle as a worker sees it."""

    def __init__(self, oracle: Any) -> None:
        super().__init__(oracle)
        address = os.environ["KERASTUNER_ORACLE_IP"] + ":" + os.environ["KERASTUNER_ORACLE_PORT"]
        self.stub, self.process = PatientStub(address), uuid.uuid4().hex

    def create_trial(self, tuner_id: str) -> Any:
        """As Keras Tuner's, with a word on which process asks: another under the same name has lost its trial."""
        request = protos.get_service().CreateTrialRequest(tuner_id=tuner_id)
        trial = Trial.from_proto(self.stub.CreateTrial(request, metadata=[("process", self.process)]).trial)
        if trial.status == "IDLE":
            time.sleep(PAUSE)  # Keras Tuner asks again at once
        return trial

    def end_trial(self, trial: Any) -> None:
        """As Keras Tuner's, with the reason of a failure, which its protocol leaves out."""
        reason = (trial.message or "").strip().splitlines()[-1:]
        metadata = [("process", self.process), *(("reason-bin", line[:1000].encode()) for line in reason)]
        self.stub.EndTrial(protos.get_service().EndTrialRequest(trial=trial.to_proto()), metadata=metadata)

    def tell_mistake(self, error: Exception) -> None:
        """Tells the chief of an error that ends the search."""
        told = f"{type(error).__name__}: {error}".encode()[-MOST_TOLD:]
        with contextlib.suppress(ChiefLost, grpc.RpcError):
            self.stub.EndTrial(protos.get_service().EndTrialRequest(), metadata=[("mistake-bin", told)])

    @contextlib.contextmanager
    def beating(self, trial_id: str) -> Iterator[None]:
        """Tells the chief every few seconds that the trial is being worked on.

        Raises:
            ChiefLost: if the chief does not answer; what is done within the context is interrupted.
            TrialTaken: if another process has the trial; likewise.
        """
        done, lost = threading.Event(), []
        request, metadata = protos.get_service().GetTrialRequest(trial_id=trial_id), [("process", self.process)]

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
        self.calls = protos.get_service_grpc().OracleStub(grpc.insecure_channel(address, CHANNEL))

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
