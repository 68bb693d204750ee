"""What `export.py` does: a run folder in, a version and how to serve it out."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np

from tfadgm.errors import InputError
from tfadgm.evaluation.predictions import threshold_of
from tfadgm.models import Classifier
from tfadgm.run import Run
from tfadgm.serving import configs
from tfadgm.serving.archive import export
from tfadgm.serving.signatures import takes_bytes
from tfadgm.serving.verification import INFO

TOLD = ("model", "dataset", "labels", "seed", "training_points", "epochs", "test_error", "test_nll", "test_ece")


def export_run(run_dir: Path, output: Path, name: str, version: int | None, samples: int | None) -> Path:
    """Exports the model of the run folder `run_dir`; arguments and errors as in `export`."""
    run = Run(run_dir)
    report = run.report
    names = report.get("classes")
    if not isinstance(names, list):
        raise InputError(f"Expected the run of a classifier. Received {run_dir}, of the model {report['model']}")
    model = run.load_model()
    if not isinstance(model, Classifier) or model.classes != len(names):
        raise InputError(
            f"Expected a classifier with {len(names)} classes in {run_dir / 'model.keras'}. "
            f"Received: {type(model).__name__} with {getattr(model, 'classes', 'no')}"
        )
    info = {key: report.get(key) for key in TOLD}
    by_folds = (report.get("estimate") or {}).get("temperature")
    return export(
        model, output, name=name, class_names=map(str, names), version=version, samples=samples,
        temperature=by_folds, threshold=threshold_of(report), info=info,
    )  # fmt: skip


def instructions(path: Path) -> str:
    """How to serve the version in the folder `path` and how to ask it."""
    info = json.loads((path / INFO).read_text())
    output, name = path.parents[1], path.parents[0].name
    where = shlex.quote(str(output))
    flags = " ".join(
        f"--{flag}_file={shlex.quote(str(output / file))}"
        for flag, file in (("model_config", configs.MODELS), ("monitoring_config", configs.MONITORING))
    )
    batching = f"--enable_batching --batching_parameters_file={shlex.quote(str(output / configs.BATCHING))}"
    url = f"http://localhost:8501/v1/models/{name}"
    return f"""
Exported {path}: {info["verified"]["bytes"] / 2**20:.1f} MiB, {info["samples"]} samples a prediction
{_calibration(info["calibration"])}
{_verified(info["verified"])}

Serve it; the second line merges the requests of clients and is for all signatures but `generate`:
  tensorflow_model_server --port=8500 --rest_api_port=8501 {flags} \\
    {batching}
or in a container:
  docker run --rm -p 8500:8500 -p 8501:8501 -v {where}:{where}:ro tensorflow/serving {flags} \\
    {batching}

Ask it:
  {_curl(url, info)}

  import json, urllib.request
  import numpy as np
  inputs = {_inputs(info)}  # your data, in the units of training
  body = json.dumps({{"inputs": inputs}}).encode()
  with urllib.request.urlopen("{url}:predict", body) as answer:
      outputs = json.load(answer)["outputs"]
  print(outputs["label_name"], outputs["probabilities"])"""


def _calibration(found: dict[str, Any]) -> str:
    """What the temperature did to the model's own examples, or why it was not fitted on them."""
    text = f"Temperature {found['temperature']:.2f}"
    if "points" in found:
        text += (
            f": on {found['points']} examples of the model's own, NLL {found['nll_before']:.4f} becomes "
            f"{found['nll_after']:.4f}, ECE {found['ece_before']:.4f} becomes {found['ece_after']:.4f}"
        )
    return text + (f": {found['left_out']}" if "left_out" in found else "")


def _verified(found: dict[str, Any]) -> str:
    """What was verified, and by which loaders."""
    left_out = f", and not through the C API. {found['left_out']}" if "left_out" in found else ""
    return (
        f"Verified: {found['requests']} requests agree with Keras within "
        f"{max(found['largest_difference'].values()):.0e}, in a Session"
        f"{left_out or ' and through the C API' + chr(10) + 'without Python'}. "
        "That is TF Serving's own loader; the server itself was not run."
    )


def _row(info: dict[str, Any]) -> dict[str, Any]:
    """A row of a table with nothing in it."""
    return {name: [""] if told["type"] == "string" else [0.0] for name, told in info["columns"].items()}


def _inputs(info: dict[str, Any]) -> str:
    """The inputs of a request of one row, as Python."""
    if info["columns"]:
        return repr(_row(info))
    return f'{{"x": np.zeros({(1, *info["feature_shape"])}).tolist()}}'


def _curl(url: str, info: dict[str, Any]) -> str:
    """A request for a command line: an image file where features are images, else an empty row."""
    if takes_bytes(info):
        image = "'$(base64 < image.png | tr -d '\\n')'"
        body = f'{{"signature_name": "predict_bytes", "instances": [{{"b64": "{image}"}}]}}'
    elif info["columns"]:
        body = json.dumps({"inputs": _row(info)})
    else:
        body = json.dumps({"instances": np.zeros((1, *info["feature_shape"])).tolist()})
    return f"curl -d '{body}' {url}:predict"
