"""A run folder: made, kept, resumed, locked; what is refused leaves it as it was. Run with toys, in this process."""

import dataclasses
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.support.faults import killed_before
from tests.support.toys import stripes, toys  # noqa: F401  a fixture
from tfadgm import evaluation, pipeline
from tfadgm.config import Config
from tfadgm.errors import InputError
from tfadgm.evaluation import baselines
from tfadgm.files import locked
from tfadgm.run import Run, default_folder, labeled_dataset
from tfadgm.training import trainer

DRAW = pipeline._draw


@pytest.fixture(autouse=True)
def quick(monkeypatch, toys):  # noqa: F811
    """No figures, no baselines, steps without tracing."""
    build_model = trainer.build_model

    def eager(*arguments):
        model = build_model(*arguments)
        model.run_eagerly = True
        return model

    monkeypatch.setattr(trainer, "build_model", eager)
    for baseline in ("supervised_error", "error"):
        monkeypatch.setattr(baselines, baseline, lambda *_: 50.0)
    monkeypatch.setattr(pipeline, "_draw", lambda *_: None)


@pytest.fixture
def config(toys) -> Config:  # noqa: F811
    return Config.for_dataset(**toys)


def result(folder: Path) -> tuple[list[np.ndarray], dict]:
    return [weight.numpy() for weight in Run(folder).load_model().weights], Run(folder).report


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def check_same(left: Path, right: Path) -> None:
    (weights, report), (expected, reference) = result(left), result(right)
    for one, other in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    different = {"seconds", "examples_per_second"}
    assert {k: v for k, v in report.items() if k not in different} == {
        k: v for k, v in reference.items() if k not in different
    }


def test_a_run_writes_down_what_it_resolved_and_found(tmp_path, config, capsys):
    report = pipeline.run(config, tmp_path / "run")
    told = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (told["likelihood"], told["label_seed"], told["alpha"]) == ("gaussian", 0, 500.0)
    assert Run(tmp_path / "run").report == report
    assert (report["labels"], report["steps"], report["epochs"]) == (20, 6, 3)
    assert report["elbo"] is report["bound"] is None  # of a method that has none
    assert "20 labels of 60 training points, 2 classes. 40 test labels" in capsys.readouterr().out
    assert "SOFTMAX, 20 labels of 60 points" in pipeline.format_report(report)


@pytest.mark.parametrize("stride", [17, pytest.param(3, marks=pytest.mark.slow)])
def test_a_run_killed_at_any_write_is_resumed_or_begun_again(tmp_path, config, stride):
    """Before one in so many things that it does on the disk, from the first file to the report."""
    config = config.replace(epochs=1, unlabeled_batch=60)
    with killed_before(None) as met:
        pipeline.run(config, tmp_path / "whole")
    for number in range(0, len(met), stride):
        folder = tmp_path / str(number)
        with killed_before(number):
            pipeline.run(config, folder)
        begun = Run(folder).exists
        pipeline.run(config, folder, resume=begun)
        check_same(folder, tmp_path / "whole")


@pytest.mark.slow
def test_a_finished_run_that_is_resumed_stays(tmp_path, config):
    pipeline.run(config, tmp_path / "run")
    shutil.copytree(tmp_path / "run", tmp_path / "kept")
    pipeline.run(config, tmp_path / "run", resume=True)
    check_same(tmp_path / "run", tmp_path / "kept")


@pytest.mark.slow
def test_a_run_is_lengthened_as_if_it_had_been_as_long(tmp_path, config):
    pipeline.run(config.replace(epochs=5), tmp_path / "long")
    pipeline.run(config, tmp_path / "run")
    pipeline.run(config, tmp_path / "run", resume=True, changes={"epochs": 5})
    check_same(tmp_path / "run", tmp_path / "long")
    assert Run(tmp_path / "run").config.epochs == 5


def test_what_is_refused_leaves_a_run_as_it_was(tmp_path, config, monkeypatch):
    """Flags that contradict it, another data set, a second start: nothing is written, and it can still go on."""
    folder = tmp_path / "run"
    pipeline.run(config, folder)
    before = snapshot(folder)
    with pytest.raises(InputError, match="Expected learning_rate=.* to resume. Received: learning_rate=0.5"):
        pipeline.run(config, folder, resume=True, changes={"learning_rate": 0.5})
    with pytest.raises(InputError, match="Received one of another run"):
        pipeline.run(config, folder, resume=True, changes={"dataset": "moons"})
    with pytest.raises(InputError, match="continue it with --resume"):
        pipeline.run(config, folder)
    assert snapshot(folder) == before
    pipeline.run(config, folder, resume=True)


def test_the_same_data_by_another_path_go_on(tmp_path, toys):  # noqa: F811
    rows = np.random.default_rng(0).normal(size=[30, 2])
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        np.savez(tmp_path / name / "mine.npz", x_labeled=rows[:10], y_labeled=np.arange(10) % 2, x_unlabeled=rows[10:])
    config = Config.for_dataset(**{**toys, "dataset": str(tmp_path / "one" / "mine.npz"), "labels": None})
    pipeline.run(config, tmp_path / "run")
    changes = {"dataset": str(tmp_path / "other" / "mine.npz"), "epochs": 4}
    assert pipeline.run(config, tmp_path / "run", resume=True, changes=changes)["epochs"] == 4


@pytest.mark.parametrize("damage", ["corrupt", "foreign", "config", "absent"])
def test_a_bad_folder_is_refused(tmp_path, config, damage):
    folder = tmp_path / "run"
    pipeline.run(config, folder)
    if damage == "corrupt":
        file = folder / "checkpoint" / "00003" / "variables.npz"
        file.write_bytes(file.read_bytes()[:1000])
        message = "Received a damaged one"
    elif damage == "foreign":
        told = json.loads((folder / "config.json").read_text()) | {"hidden_units": [9]}
        (folder / "config.json").write_text(json.dumps(told))
        message = "Received one of another run"
    elif damage == "config":
        (folder / "config.json").write_text("{")
        message = "to hold the configuration of a run"
    else:
        (folder / "config.json").unlink()
        message = "Expected a run to resume"
    before = snapshot(folder)
    with pytest.raises(InputError, match=message):
        pipeline.run(config, folder, resume=True)
    assert snapshot(folder) == before


def test_two_runs_do_not_share_a_folder(tmp_path, config, monkeypatch):
    """The second is told, whether it starts while the first loads its data or resumes while it trains."""
    folder, met = tmp_path / "run", []

    def second(*arguments, **options):
        for resume in (False, True):
            with pytest.raises(InputError) as error:
                pipeline.run(config, folder, resume=resume)
            met.append(str(error.value))
        return dataset(*arguments, **options)

    dataset = pipeline.labeled_dataset
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "labeled_dataset", second)
        pipeline.run(config, folder)
    assert ["in use" in met[0], "Expected a run to resume" in met[1]] == [True, True]
    with (
        locked(folder, "a run"),
        pytest.raises(InputError, match="Expected a run that is not running. Received .* in use"),
    ):
        pipeline.run(config, folder, resume=True)


def test_bad_data_leave_no_folder(tmp_path, config):
    with pytest.raises(InputError, match="Expected at most 20 labels"):
        pipeline.run(config.replace(labels=50), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_test_labels_change_nothing_but_the_report(tmp_path, config, monkeypatch):
    pipeline.run(config, tmp_path / "own")
    with monkeypatch.context() as patch:
        other = with_tests(0)
        patch.setattr(pipeline, "labeled_dataset", lambda config: other)
        pipeline.run(config, tmp_path / "other")
    (weights, report), (expected, reference) = result(tmp_path / "own"), result(tmp_path / "other")
    for one, two in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(one, two)
    assert report["test_error"] != reference["test_error"]


def with_tests(number: int):
    """The toy data with other test points."""
    data = stripes()
    return dataclasses.replace(data, x_test=data.x_test[: 40 - number], y_test=1 - data.y_test[: 40 - number])


@pytest.mark.slow
def test_test_points_may_change_between_parts_of_a_run(tmp_path, config, monkeypatch, capsys):
    """What the earlier part told of the others is dropped, and the report is of the new ones."""
    pipeline.run(config, tmp_path / "run")
    for number, kept in ((3, 37), (40, 0)):
        data = with_tests(number)
        monkeypatch.setattr(pipeline, "labeled_dataset", lambda config, data=data: data)
        report = pipeline.run(config, tmp_path / "run", resume=True, changes={"epochs": 4 if kept else 5})
        assert (report["test_error"] is None) == (kept == 0)
        assert "The test points are not those that this run began with" in capsys.readouterr().out
    header, *rows = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    assert "test_error" not in header
    assert len(rows) == 5


def test_a_figure_that_fails_is_a_line(tmp_path, config, monkeypatch, capsys):
    """The run is complete before it is drawn."""

    def fail(*_):
        assert Run(tmp_path / "run").finished
        raise RuntimeError("no such font")

    task = dataclasses.replace(evaluation.TASKS["classification"], draw=fail)
    monkeypatch.setitem(evaluation.TASKS, "classification", task)
    monkeypatch.setattr(pipeline, "_draw", DRAW)
    pipeline.run(config, tmp_path / "run")
    assert "No figures. RuntimeError: no such font" in capsys.readouterr().out


def test_a_model_that_is_none_of_ours_is_named(tmp_path):
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "model.keras")
    with pytest.raises(InputError, match="Expected a model of tfadgm in .* Received: Sequential"):
        Run(tmp_path).load_model()
    (tmp_path / "model.keras").write_bytes(b"nonsense")
    with pytest.raises(InputError, match="Expected the model of a run in"):
        Run(tmp_path).load_model()


def test_a_report_that_is_none_is_named(tmp_path):
    for text in ("[1, 2", "[]", "{}"):
        (tmp_path / "report.json").write_text(text)
        with pytest.raises(InputError, match="Expected a finished run in"):
            Run(tmp_path).report  # noqa: B018


def test_only_a_run_with_a_state_of_constant_step_size_can_be_lengthened(tmp_path):
    for decay in (0.0, 0.5):
        (tmp_path / "config.json").write_text(Config.of(epochs=4, decay=decay).to_json())
        if decay:
            with pytest.raises(InputError, match=r"Expected epochs=4 as in .* to resume. Received: epochs=9"):
                Run(tmp_path).resumed({"epochs": 9})
            (tmp_path / "checkpoint" / "constant").mkdir(parents=True)
        assert Run(tmp_path).resumed({"epochs": 9}).epochs == 9


def test_files_of_one_name_have_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    configs = [Config.for_dataset(f"{name}/data.npz") for name in ("one", "two")]
    assert [str(default_folder(config)) for config in configs] == ["runs/data-sdgm-all-0"] * 2
    (tmp_path / "runs" / "data-sdgm-all-0").mkdir(parents=True)
    (tmp_path / "runs" / "data-sdgm-all-0" / "config.json").write_text(configs[0].to_json())
    assert str(default_folder(configs[0])) == "runs/data-sdgm-all-0"
    assert str(default_folder(configs[1])) == "runs/two-data-sdgm-all-0"


def test_a_density_sees_no_label():
    assert len(labeled_dataset(Config.for_dataset("digits", model="vae")).label_indices) == 0


def test_label_seeds_choose_labels_alone():
    one, other = (labeled_dataset(Config.for_dataset("digits", seed=seed, label_seed=7)) for seed in (0, 1))
    np.testing.assert_array_equal(one.label_indices, other.label_indices)
    assert evaluation.TASKS.keys() == {"classification", "density"}
