"""The grid of trainings, by a toy in the place of training."""

import json
import sys
from pathlib import Path

import pytest

from experiments import __main__ as command
from experiments import ablation, errors, grid, unseen
from experiments.sources import MOONS, UNTESTED
from tfadgm.config import Config
from tfadgm.data.sources import load_dataset
from tfadgm.errors import InputError, TrainingError
from tfadgm.run import Run

TOY = """
import json, os, pathlib, sys
config, folder = (pathlib.Path(sys.argv[sys.argv.index(flag) + 1]) for flag in ("--config", "--run-dir"))
folder.mkdir(exist_ok="--resume" in sys.argv)
values = json.loads(config.read_text())
(folder / "config.json").write_text(config.read_text())
with (folder / "calls").open("a") as calls:
    calls.write("resumed " if "--resume" in sys.argv else "new ")
if (folder.parent / "broken").exists() and values["seed"] == 1:
    sys.exit(1)
threads = os.environ.get("TF_NUM_INTRAOP_THREADS")
(folder / "report.json").write_text(json.dumps({"seed": values["seed"], "error": values["alpha"], "threads": threads}))
"""
ALPHAS = {"one": 1.0, "two": 2.0}


@pytest.fixture
def toy(tmp_path, monkeypatch) -> Path:
    """The folder of the experiment `toy`, whose trainings take milliseconds."""
    (tmp_path / "toy.py").write_text(TOY)
    monkeypatch.setattr(grid, "TRAIN", [sys.executable, str(tmp_path / "toy.py")])
    monkeypatch.setattr(grid, "RUNS", tmp_path)
    monkeypatch.setattr(grid, "measured", lambda run: json.loads((run.folder / "report.json").read_text()))
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    return tmp_path / "toy"


def measure(*arguments: str, **options):
    def config(variant: str) -> Config:
        return Config.for_dataset("digits", alpha=ALPHAS[variant])

    return grid.measure("toy", "A toy.", arguments, list(ALPHAS), config, range(2), **options)


def test_a_grid_is_every_variant_by_every_seed(toy):
    found = measure(more=lambda cell: {"folder": cell.folder.name})
    assert [(variant, row["seed"], row["error"]) for variant, rows in found.items() for row in rows] == [
        ("one", 0, 1.0), ("one", 1, 1.0), ("two", 0, 2.0), ("two", 1, 2.0),
    ]  # fmt: skip
    row = found["two"][1]
    assert (row["folder"], row["commit"]) == ("two-1", grid.commit())
    assert row["whole_process_seconds"] >= 0
    assert row["peak_memory_mib"] > 0


def test_a_cell_is_trained_and_measured_once(toy):
    first = measure()
    assert measure(more=lambda cell: pytest.fail("measured again")) == first
    assert [path.read_text() for path in toy.glob("*/calls")] == ["new "] * 4


def test_a_stopped_cell_is_resumed_and_the_others_are_kept(toy):
    toy.mkdir()
    (toy / "broken").write_text("")
    with pytest.raises(TrainingError, match="Expected exit status 0 of .*--run-dir .*-1. Received: 1"):
        measure("--jobs", "1", "--seeds", "0", "1")
    (toy / "broken").unlink()
    found = measure("--jobs", "1")
    assert (toy / "one-1" / "calls").read_text() == "new resumed "
    assert (toy / "one-0" / "calls").read_text() == "new "
    assert found["one"][1]["whole_process_seconds"] is None  # of the last part only
    assert [row["seed"] for row in found["two"]] == [0, 1]


def test_a_part_of_a_grid_tells_of_what_is_complete(toy):
    assert list(measure("two", "--seeds", "1")) == ["two"]
    found = measure("one", "--seeds", "0", "5")
    assert {variant: [row["seed"] for row in rows] for variant, rows in found.items()} == {"one": [0, 5], "two": [1]}


def test_side_by_side_cells_have_a_thread_each(toy):
    assert [row["threads"] for row in measure("one", "--jobs", "2")["one"]] == ["1", "1"]
    assert [row["threads"] for row in measure("two", "--jobs", "1")["two"]] == ["all", "all"]
    reports = [json.loads((toy / f"{name}-0" / "report.json").read_text())["threads"] for name in ALPHAS]
    assert reports == ["1", None]


def test_an_unknown_variant_is_refused_before_anything_is_trained(toy):
    with pytest.raises(InputError, match="Expected variants of one; two. Received: three"):
        measure("one", "three")
    assert not toy.exists()


def test_a_run_of_what_a_variant_once_was_is_refused(toy, monkeypatch):
    measure("one")
    monkeypatch.setitem(ALPHAS, "one", 3.0)
    with pytest.raises(InputError, match="Expected .*alpha=3.0.* in .*one-0. Received a run of .*alpha=1.0"):
        measure("one")


def test_a_run_is_told_by_its_scores(tmp_path, monkeypatch):
    report = {"seed": 3, "test_error": 4.44444, "test_nll": 0.1, "test_ece": None, "supervised_error": 9.0,
              "label_spreading_error": None, "self_training_error": None, "epochs": 3, "seconds": 90}  # fmt: skip
    report |= {"model": "sdgm", "dataset": "digits"}
    (tmp_path / "report.json").write_text(json.dumps(report))
    (tmp_path / "metrics.csv").write_text("epoch,seconds,test_error\n1,50,9.5\n2,60.5,8\n3,90,4.4444\n")
    monkeypatch.setattr(grid, "unseen_training_error", lambda run: 5.55555)
    assert grid.measured(Run(tmp_path)) == {
        "seed": 3, "test_error": 4.4444, "test_nll": 0.1, "supervised_error": 9.0, "unseen_training_error": 5.5556,
        "seconds_an_epoch": 20.0, "epochs": 3, "minutes": 1.5,
    }  # fmt: skip


def test_data_without_test_points_stay_without():
    assert not len(load_dataset(UNTESTED).x_test)
    assert len(load_dataset(UNTESTED).x) == 1257
    drawn = load_dataset(MOONS)
    assert (drawn.x.shape, drawn.likelihood, len(drawn.x_test), drawn.y.min()) == ((10_000, 2), "gaussian", 0, 0)


def test_variants_are_configurations():
    plain = errors.config_of(errors.FLAGS["mnist"]["sdgm"])
    assert (plain.epochs, plain.learning_rate, plain.ema_momentum, plain.vat_epsilon) == (25, 1e-3, 0.999, 0.0)
    assert {unseen.choice(variant).dataset for variant in unseen.CHOICES} == {UNTESTED, MOONS}


def test_an_ablation_tells_what_a_row_changes():
    values = ablation.choices("tuned,adversarial_radius=2,model=adgm")
    assert values == {"epochs": 20, "vat_epsilon": 2, "model": "adgm"}
    config = Config.for_dataset("mnist", seed=7, **values)
    row = {"config": json.loads(config.to_json())}
    assert ablation.changed(row, "tuned") == ["model adgm", "adversarial_radius 2"]
    old = json.loads(json.dumps(row))
    del old["config"]["distribution_alignment_tolerance"]  # newer than the run: it had the default
    assert ablation.changed(old, "tuned") == ["model adgm", "adversarial_radius 2", "prior_tolerance 0.0"]


@pytest.mark.parametrize("name", command.MODULES)
def test_every_experiment_has_its_help(name, capsys):
    with pytest.raises(SystemExit) as exit:
        command.main([name, "--help"])
    assert exit.value.code == 0
    assert f"python -m experiments {name}" in capsys.readouterr().out


def test_an_unknown_experiment_is_one_line():
    with pytest.raises(InputError, match="Expected one of digits, .*tuning. Received: nothing"):
        command.main(["nothing"])
