"""What `export.py` does: a run folder in, a version and how to serve it out."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import keras
import numpy as np

from tfadgm.config import SEMI_SUPERVISED
from tfadgm.errors import InputError
from tfadgm.models import SemiSupervisedModel
from tfadgm.serving.archive import export
from tfadgm.serving.signatures import is_image

TOLD = ("model", "dataset", "labels", "seed", "training_points", "epochs", "test_error", "test_nll", "test_ece")


def export_run(run_dir: Path, output: str, name: str, version: int | None, samples: int | None) -> Path:
    """Exports the model of the run folder `run_dir`; arguments and errors as in `export`."""
    try:
        report = json.loads((run_dir / "report.json").read_text())
        classifier = report["model"] in SEMI_SUPERVISED
        class_names = [str(found) for found in report["classes"]] if classifier else []
        info = {key: report[key] for key in TOLD} if classifier else {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"Expected a finished run of train.py in {run_dir}. Received: {type(error).__name__}: {error}"
        ) from error
    if not classifier:
        raise InputError(f"Expected the run of a classifier. Received {run_dir}, of the model {report['model']}")
    try:
        model = keras.models.load_model(run_dir / "model.keras", compile=False)
    except Exception as error:  # Keras and zipfile raise many kinds for a file that is damaged
        raise InputError(
            f"Expected the model of a run in {run_dir / 'model.keras'}. "
            f"Received: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        ) from error
    if not isinstance(model, SemiSupervisedModel) or model.classes != len(class_names):
        raise InputError(
            f"Expected a model of tfadgm with {len(class_names)} classes in {run_dir / 'model.keras'}. "
            f"Received: {type(model).__name__}"
        )
    return export(model, output, name=name, class_names=class_names, version=version, samples=samples, info=info)


def instructions(path: Path) -> str:
    """How to serve the version in the folder `path` and how to ask it."""
    info = json.loads((path / "assets.extra" / "model_info.json").read_text())
    output, name = path.parents[1], path.parents[0].name
    where, shape = shlex.quote(str(output)), tuple(info["feature_shape"])
    flags = " ".join(
        f"--{flag}_file={shlex.quote(str(output / file))}"
        for flag, file in (("model_config", "models.config"), ("monitoring_config", "monitoring.config"))
    )
    batching = f"--enable_batching --batching_parameters_file={shlex.quote(str(output / 'batching.config'))}"
    url = f"http://localhost:8501/v1/models/{name}"
    verified, difference = info["verified"], max(info["verified"]["largest_difference"].values())
    megabytes = verified["bytes"] / 2**20
    return f"""
Exported {path}: {megabytes:.1f} MiB, {info["samples"]} samples a prediction
{_calibration(info["calibration"])}
Verified: {verified["requests"]} requests agree with Keras within {difference:.0e}, in a Session and through the C API
without Python. That is TF Serving's own loader; the server itself was not run.

Serve it; the second line merges the requests of clients and is for all signatures but `generate`:
  tensorflow_model_server --port=8500 --rest_api_port=8501 {flags} \\
    {batching}
or in a container:
  docker run --rm -p 8500:8500 -p 8501:8501 -v {where}:{where}:ro tensorflow/serving {flags} \\
    {batching}

Ask it:
  {_curl(url, shape)}

  import json, urllib.request
  import numpy as np
  x = np.zeros((1, {", ".join(map(str, shape))}))  # your data, in the units of training
  body = json.dumps({{"inputs": {{"x": x.tolist()}}}}).encode()
  with urllib.request.urlopen("{url}:predict", body) as answer:
      outputs = json.load(answer)["outputs"]
  print(outputs["label_name"], outputs["probabilities"])"""


def _calibration(found: dict[str, float]) -> str:
    """What the temperature did to the model's own examples, where it was fitted on them."""
    text = f"Temperature {found['temperature']:.2f}"
    if "points" in found:
        text += (
            f": on {found['points']} examples of the model's own, NLL {found['nll_before']:.4f} becomes "
            f"{found['nll_after']:.4f}, ECE {found['ece_before']:.4f} becomes {found['ece_after']:.4f}"
        )
    return text


def _curl(url: str, shape: tuple[int, ...]) -> str:
    """A request for a command line: an image file where features are images, else a row of zeros."""
    if is_image(shape):
        body = '{"signature_name": "predict_bytes", "instances": [{"b64": "\'$(base64 -w0 image.png)\'"}]}'
    else:
        body = json.dumps({"instances": np.zeros((1, *shape)).tolist()})
    return f"curl -d '{body}' {url}:predict"
