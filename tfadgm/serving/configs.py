"""The files that a server is started with. What a user has written into them stays."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from google.protobuf import text_format

from tfadgm.errors import InputError, extra
from tfadgm.files import write_text, writing
from tfadgm.serving import warmup

with extra("serve"):
    from tensorflow_serving.config import model_server_config_pb2

MODELS, BATCHING, MONITORING = "models.config", "batching.config", "monitoring.config"
BATCHING_TEXT = f"""max_batch_size {{ value: {max(warmup.BATCH_SIZES)} }}
batch_timeout_micros {{ value: 1000 }}
max_enqueued_batches {{ value: 1000 }}
num_batch_threads {{ value: 2 }}
{"".join(f"allowed_batch_sizes: {size}{chr(10)}" for size in warmup.BATCH_SIZES)}"""
MONITORING_TEXT = """prometheus_config { enable: true path: "/monitoring/prometheus/metrics" }
"""


def write(folder: Path) -> None:
    """Adds the model in `folder` to the files beside it, one process at a time, and tells of models that have moved.

    Raises:
        InputError: if they cannot be read or written; the version that was exported is there all the same.
    """
    output = folder.parent
    with writing(output):
        descriptor = os.open(output, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            write_text(output / MODELS, _with_model(output / MODELS, folder.name))
            for name, text in ((BATCHING, BATCHING_TEXT), (MONITORING, MONITORING_TEXT)):
                if not (output / name).exists():
                    write_text(output / name, text)
        finally:
            os.close(descriptor)


def _with_model(path: Path, name: str) -> str:
    """The text of models.config with the model `name`. A model that lies beside the file is served from there."""
    config = model_server_config_pb2.ModelServerConfig()
    models = config.model_config_list.config
    try:
        if path.exists():
            text_format.Parse(path.read_text(), config)
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise InputError(
            f"Expected {path} to be a configuration of TF Serving, to add {name} to. Received: {error}"
        ) from error
    if name not in {model.name for model in models}:
        models.add(name=name, base_path=str(path.parent / name), model_platform="tensorflow")
    for model in models:
        here, there = path.parent / model.name, model.base_path
        if here.is_dir() and "://" not in there and here.resolve() != Path(there).resolve():
            model.base_path = str(here)
            print(f"{path}: {model.name} was in {there} and is now in {here}", flush=True)
    return text_format.MessageToString(config)
