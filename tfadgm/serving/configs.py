"""The files that a server is started with. What is already in them is the user's own and stays."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from tfadgm.checkpoint import writing
from tfadgm.errors import InputError
from tfadgm.serving import warmup

MODELS, BATCHING, MONITORING = "models.config", "batching.config", "monitoring.config"
BATCHING_TEXT = f"""max_batch_size {{ value: {max(warmup.BATCH_SIZES)} }}
batch_timeout_micros {{ value: 1000 }}
max_enqueued_batches {{ value: 1000 }}
num_batch_threads {{ value: 2 }}
{"".join(f"allowed_batch_sizes: {size}{chr(10)}" for size in warmup.BATCH_SIZES)}"""
MONITORING_TEXT = """prometheus_config { enable: true path: "/monitoring/prometheus/metrics" }
"""


def write(folder: Path) -> None:
    """Adds the model in `folder` to the files beside it, one process at a time.

    Raises:
        InputError: if they cannot be read or written; the version that was exported is there all the same.
    """
    output = folder.parent
    with writing(output):
        descriptor = os.open(output, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            _replace(output / MODELS, _with_model(output / MODELS, folder))
            for name, text in ((BATCHING, BATCHING_TEXT), (MONITORING, MONITORING_TEXT)):
                if not (output / name).exists():
                    _replace(output / name, text)
        finally:
            os.close(descriptor)


def _with_model(path: Path, folder: Path) -> str:
    """The text of models.config with the model in `folder`."""
    config = model_server_config_pb2.ModelServerConfig()
    try:
        if path.exists():
            text_format.Parse(path.read_text(), config)
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise InputError(
            f"Expected {path} to be a configuration of TF Serving, to add {folder.name} to. Received: {error}"
        ) from error
    if folder.name not in {model.name for model in config.model_config_list.config}:
        model = config.model_config_list.config.add()
        model.name, model.base_path, model.model_platform = folder.name, str(folder), "tensorflow"
    return text_format.MessageToString(config)


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text)
    partial.replace(path)
