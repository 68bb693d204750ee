"""Versions, files beside the model, and everything that can go wrong around an export."""

import json
import resource
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import prediction_log_pb2
from tensorflow_serving.config import model_server_config_pb2

from tests.serving.conftest import NAMES, info_of, make_plain, make_servable, new_model
from tfadgm import serving
from tfadgm.errors import InputError
from tfadgm.serving import archive, configs, warmup
from tfadgm.serving.commands import export_run


def export(output: Path, **options) -> Path:
    given = {"name": "tiny", "class_names": NAMES, "temperature": 1.0} | options
    return serving.export(make_servable().model, output, **given)


def versions(output: Path) -> set[str]:
    return {path.name for path in (output / "tiny").iterdir()}


def test_versions_count_up_and_are_never_overwritten(tmp_path, unverified):
    assert export(tmp_path) == tmp_path / "tiny" / "1"
    assert export(tmp_path, version=9) == tmp_path / "tiny" / "9"
    assert export(tmp_path) == tmp_path / "tiny" / "10"
    before = (tmp_path / "tiny" / "9" / "saved_model.pb").stat()
    with pytest.raises(InputError, match="Expected a new version. Received .*9, which exists and is never overwritten"):
        export(tmp_path, version=9)
    assert (tmp_path / "tiny" / "9" / "saved_model.pb").stat() == before
    assert versions(tmp_path) == {"1", "9", "10"}


@pytest.mark.parametrize("version", [None, 5])
def test_exports_that_race_for_a_version(tmp_path, version):
    """Of two that are complete at the same moment one gets the number; the other gets the next, or is told."""
    for _ in range(25):
        folder = tmp_path / "tiny"
        start = threading.Barrier(2)

        def number(name, folder=folder, start=start):
            partial = folder / f".partial-{name}"
            partial.mkdir(parents=True)
            (partial / "saved_model.pb").write_text(name)
            start.wait()
            try:
                return archive._number(partial, folder, version).name
            except InputError as error:
                return str(error)

        with ThreadPoolExecutor(2) as threads:
            found = sorted(threads.map(number, "ab"))
        if version:
            assert found[0] == "5"
            assert "which exists and is never overwritten" in found[1]
        else:
            assert found == ["1", "2"]
            assert {(folder / name / "saved_model.pb").read_text() for name in found} == {"a", "b"}
        shutil.rmtree(folder)


def models(output: Path) -> list[tuple[str, str, str]]:
    config = model_server_config_pb2.ModelServerConfig()
    text_format.Parse((output / "models.config").read_text(), config)
    return [(model.name, model.base_path, model.model_platform) for model in config.model_config_list.config]


def test_the_files_that_a_server_is_started_with(tmp_path, unverified):
    for name in ("tiny", "other", "tiny"):
        export(tmp_path, name=name)
    assert models(tmp_path) == [(name, str(tmp_path / name), "tensorflow") for name in ("tiny", "other")]
    assert "max_batch_size { value: 256 }" in (tmp_path / "batching.config").read_text()
    assert "enable: true" in (tmp_path / "monitoring.config").read_text()
    assert not list(tmp_path.glob(".*"))


def test_what_a_user_has_written_into_them_stays(tmp_path):
    own = 'model_config_list { config { name: "mine" base_path: "/elsewhere/mine" model_platform: "tensorflow" } }'
    (tmp_path / "models.config").write_text(own)
    (tmp_path / "batching.config").write_text("max_batch_size { value: 8 }")
    configs.write(tmp_path / "tiny")
    assert models(tmp_path)[0] == ("mine", "/elsewhere/mine", "tensorflow")
    assert models(tmp_path)[1] == ("tiny", str(tmp_path / "tiny"), "tensorflow")
    assert (tmp_path / "batching.config").read_text() == "max_batch_size { value: 8 }"
    (tmp_path / "models.config").write_text("what?")
    with pytest.raises(InputError, match=r"Expected .*models.config to be a configuration of TF Serving"):
        configs.write(tmp_path / "tiny")
    assert (tmp_path / "models.config").read_text() == "what?"


def test_a_folder_of_models_that_was_moved_is_served_from_where_it_is(tmp_path, capsys):
    old, new = tmp_path / "old", tmp_path / "new"
    for name in ("tiny", "other"):
        (old / name).mkdir(parents=True)
        configs.write(old / name)
    (old / "cloud").mkdir()
    own = 'config { name: "mine" base_path: "/elsewhere/mine" } config { name: "cloud" base_path: "gs://bucket/cloud" }'
    config = old / "models.config"
    config.write_text(config.read_text().replace("model_config_list {", f"model_config_list {{ {own}"))
    configs.write(old / "tiny")
    assert capsys.readouterr().out == ""
    old.rename(new)
    configs.write(new / "tiny")
    found = {name: place for name, place, _ in models(new)}
    assert found == {
        "tiny": f"{new}/tiny", "other": f"{new}/other", "mine": "/elsewhere/mine", "cloud": "gs://bucket/cloud"
    }  # fmt: skip
    told = capsys.readouterr().out.splitlines()
    assert told == [
        f"{new}/models.config: {name} was in {old}/{name} and is now in {new}/{name}" for name in ("tiny", "other")
    ]


def test_no_model_is_lost_when_many_are_added_at_once(tmp_path):
    names = [f"model{number}" for number in range(24)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: configs.write(tmp_path / name), names))
    assert {name for name, _, _ in models(tmp_path)} == set(names)


def test_warm_up_requests_are_what_a_server_replays(exported):
    requests = warmup.read(exported / "assets.extra" / warmup.FILE)
    sizes: dict[str, list[int]] = {}
    for signature, arrays in requests:
        sizes.setdefault(signature, []).append(len(next(value for key, value in arrays.items() if key != "seed")))
    assert sizes.pop("generate") == [2]
    assert set(sizes) == {"serving_default", "score", "embed", "classify", "predict_images", "predict_bytes"}
    assert all(found == list(warmup.BATCH_SIZES) for found in sizes.values())
    assert len(requests) <= 1000
    log = warmup._log("tiny", *requests[0])
    assert isinstance(log, prediction_log_pb2.PredictionLog)
    assert log.predict_log.request.model_spec.name == "tiny"


def test_model_info_tells_what_was_exported(exported):
    info = info_of(exported)
    model = make_servable().model
    assert info["classes"] == list(NAMES)
    assert info["feature_shape"] == [2, 3]
    assert info["feature_units"] == "those of training: intensities from 0 to 1"
    assert info["samples"] == 16
    assert info["labels"] == 6
    assert info["calibration"]["temperature"] == 1.5
    assert info["parameters"] == model.count_params() - len(NAMES)  # all but the running mean of q(y|x)
    assert len(info["content_sha256"]) == 64
    assert set(info["versions"]) == {"tfadgm", "tensorflow", "keras", "tensorflow_probability"}


def test_parameters_are_those_that_answers_depend_on():
    model = make_plain()
    assert archive.parameters(model) == model.q_y_x.count_params() + 2 * 6  # and the scaling


def test_units_of_gaussian_features():
    model = new_model(likelihood="gaussian")
    model.adapt(np.arange(12, dtype=np.float32).reshape(2, 2, 3) * 4)
    expected = "those of training: means of the features from 12 to 32, standard deviations from 12 to 12"
    assert archive._units(model) == expected


def test_samples_are_those_of_the_export_only(tmp_path, unverified):
    model = make_servable().model
    path = serving.export(model, tmp_path, name="tiny", class_names=NAMES, samples=3, temperature=1.0)
    assert info_of(path)["samples"] == 3
    assert model.prediction_samples == 16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "../x"}, "Expected a name of letters"),
        ({"name": ""}, "Expected a name of letters"),
        ({"name": "m[1]"}, r"Expected a name of letters.* Received: 'm\[1\]'"),
        ({"version": 0}, "Expected version to be 1 or more. Received: 0"),
        ({"samples": 0}, "Expected samples to be 1 or more. Received: 0"),
        ({"temperature": 0.0}, "Expected a temperature above 0. Received: 0.0"),
        ({"class_names": ["a", "b"]}, "Expected 3 class names. Received: 2"),
        ({"class_names": [1, 2, 3]}, "Expected class names as text"),
        ({"class_names": ["a", "b", "\ud800"]}, "Expected class names as text"),
    ],
)
def test_arguments_that_cannot_be_used(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        export(tmp_path / "new", **options)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["m[1]", "m\\1"])
def test_folders_that_tensorflow_cannot_read_from(tmp_path, name):
    with pytest.raises(InputError, match="Expected a folder without .* which TensorFlow takes for patterns"):
        export(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_other_letters_in_a_folder_are_letters(tmp_path, unverified):
    for name in ("m*", "it's here"):
        assert export(tmp_path / name).name == "1"
        assert export(tmp_path / name).name == "2"


def test_a_full_disk_leaves_nothing(tmp_path, keep):
    keep("serving_default")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, hard))
    try:
        with pytest.raises(InputError, match="Expected to write to"):
            export(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_every_file_is_on_the_disk_before_a_version_has_its_number(tmp_path, unverified, monkeypatch):
    synced: set[str] = set()
    sync = archive.sync
    monkeypatch.setattr(archive, "sync", lambda path: (synced.add(path.name), sync(path)))
    number = archive._number

    def checked(partial, folder, version):
        assert {path.name for path in partial.rglob("*")} <= synced
        return number(partial, folder, version)

    monkeypatch.setattr(archive, "_number", checked)
    export(tmp_path)
    assert "tiny" in synced


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    for output in (tmp_path / "file", Path("/proc/models")):
        with pytest.raises(InputError, match=f"Expected to write to {output}"):
            export(output)


def test_a_run_folder_is_exported_with_its_report(tmp_path, run_dir, unverified):
    path = export_run(run_dir, tmp_path, "tiny", None, None)
    info = info_of(path)
    assert (info["model"], info["labels"], info["test_error"]) == ("sdgm", 6, 1.0)
    assert info["calibration"]["points"] == 4000


def damage(run_dir: Path, how: str) -> None:
    if how == "no report":
        (run_dir / "report.json").unlink()
    elif how == "half a report":
        (run_dir / "report.json").write_text('{"model": "sd')
    elif how == "another report":
        (run_dir / "report.json").write_text("[]")
    elif how == "no model":
        (run_dir / "model.keras").unlink()
    elif how == "half a model":
        content = (run_dir / "model.keras").read_bytes()
        (run_dir / "model.keras").write_bytes(content[: len(content) // 2])
    elif how == "another model":
        keras.Sequential([keras.Input([2]), keras.layers.Dense(3)]).save(run_dir / "model.keras")
    elif how == "other classes":
        report = json.loads((run_dir / "report.json").read_text())
        (run_dir / "report.json").write_text(json.dumps(report | {"classes": ["a", "b"]}))
    elif how == "no classifier":
        (run_dir / "report.json").write_text('{"model": "avae", "dataset": "digits"}')


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no report", "Expected a finished run"),
        ("half a report", "Expected a finished run"),
        ("another report", "Expected a finished run"),
        ("no model", "Expected the model of a run"),
        ("half a model", "Expected the model of a run"),
        ("another model", "Expected a model of tfadgm in .*model.keras. Received: Sequential"),
        ("other classes", "Expected a classifier with 2 classes in .*model.keras. Received: SDGM with 3"),
        ("no classifier", "Expected the run of a classifier. Received .*, of the model avae"),
    ],
)
def test_a_damaged_run_folder(tmp_path, run_dir, how, message):
    damage(run_dir, how)
    with pytest.raises(InputError, match=message):
        export_run(run_dir, tmp_path / "models", "tiny", None, None)
    assert not (tmp_path / "models").exists()
