"""train.py as a user runs it: the whole run, kill and resume, and every kind of bad input."""

import contextlib
import dataclasses
import io
import json
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

import train
from tfadgm.cli import exit_status
from tfadgm.config import Config

ROOT = Path(__file__).parents[1]
TINY = [
    "--labels",
    "20",
    "--hidden-units",
    "8",
    "--latent-units",
    "2",
    "--auxiliary-units",
    "2",
    "--unlabeled-batch",
    "400",
    "--no-xla",
]


def start(*flags: object, **options) -> subprocess.Popen:
    command = [sys.executable, "-u", str(ROOT / "train.py"), *map(str, flags)]
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT}
    return subprocess.Popen(command, **{**settings, "preexec_fn": heed_interrupts, **options})


def heed_interrupts() -> None:
    """Undoes what a background job inherits from its shell, which is to ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def stop_at(line: str, how: signal.Signals, *flags: object) -> tuple[int, str]:
    """Runs until `line` is printed, sends `how`, and returns the exit status and the errors."""
    process = start(*flags)
    for printed in process.stdout:
        if printed.startswith(line):
            process.send_signal(how)
            break
    _, errors = process.communicate()
    return process.returncode, errors


def finish(*flags: object) -> dict:
    """Runs to the end and returns the report in the folder after --run-dir."""
    process = start(*flags)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return json.loads((Path(flags[flags.index("--run-dir") + 1]) / "report.json").read_text())


def result(folder: Path) -> tuple[list[np.ndarray], dict]:
    model = keras.models.load_model(folder / "model.keras")
    return [weight.numpy() for weight in model.weights], json.loads((folder / "report.json").read_text())


def test_help_shows_every_choice_with_its_default(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")  # lines break at hyphens
    monkeypatch.setattr(sys, "argv", ["train.py", "--help"])
    with pytest.raises(SystemExit) as ended:
        train.main()
    told = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    for field in dataclasses.fields(Config):
        assert f"--{field.name.replace('_', '-')}" in told
        assert " ".join(f"{field.metadata['help']} (default: {field.default}".split()) in told


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "whole"
    process = start(*TINY, "--epochs", 6, "--run-dir", folder)
    printed, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "20 labels of 1257 training points, 10 classes. 540 test labels: for the report only" in printed
    assert "LabelSpreading" in printed
    return folder


def test_the_run_folder_holds_what_it_should(whole):
    names = {"config.json", "metrics.csv", "report.json", "model.keras", "checkpoint", "tensorboard", "figures"}
    assert {path.name for path in whole.iterdir()} == names
    assert len((whole / "metrics.csv").read_text().splitlines()) == 7
    assert list((whole / "tensorboard").rglob("events.*"))
    report = json.loads((whole / "report.json").read_text())
    assert len(report["label_indices"]) == report["labels"] == 20
    assert report["test_labels_used_for_choices"] == 0
    assert (report["epochs"], report["steps"]) == (6, 18)
    for key in ("test_error", "supervised_error", "label_spreading_error", "self_training_error"):
        assert 0 <= report[key] <= 100
    assert report["examples_per_second"] > 0
    assert 0 <= report["test_ece"] <= 1


def test_the_saved_model_has_the_reported_error(whole):
    from tfadgm.data.sources import digits

    data = digits()
    model = keras.models.load_model(whole / "model.keras")
    model.compile(optimizer="adam")
    scores = model.evaluate(data.x_test, data.y_test, verbose=0, return_dict=True)
    report = json.loads((whole / "report.json").read_text())
    assert scores["error"] == pytest.approx(report["test_error"], abs=1e-4)
    assert scores["nll"] == pytest.approx(report["test_nll"], rel=1e-4)


def test_a_killed_run_resumes_to_the_same_end(tmp_path, whole):
    """Killed in its first epoch, finished, lengthened, killed again: it remembers its new length. Then it stays."""
    run = tmp_path / "run"
    status, _ = stop_at("Epoch 1/3", signal.SIGKILL, *TINY, "--epochs", 3, "--run-dir", run)
    assert status == -signal.SIGKILL
    assert finish("--run-dir", run, "--resume")["epochs"] == 3
    stop_at("Epoch 5/6", signal.SIGKILL, "--run-dir", run, "--resume", "--epochs", 6)
    for _ in range(2):
        assert finish("--run-dir", run, "--resume")["epochs"] == 6
        assert len((run / "metrics.csv").read_text().splitlines()) == 7
        (weights, report), (expected, reference) = result(run), result(whole)
        for left, right in zip(weights, expected, strict=True):
            np.testing.assert_array_equal(left, right)
        assert report["test_nll"] == reference["test_nll"]
        assert report["label_indices"] == reference["label_indices"]


@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupted_run_says_how_to_resume(tmp_path, how):
    status, errors = stop_at("Epoch 3/", how, *TINY, "--epochs", 1000, "--run-dir", tmp_path / "run")
    assert status == 130
    assert errors.strip().splitlines()[-1].endswith(f"python train.py --run-dir {tmp_path / 'run'} --resume")
    assert list((tmp_path / "run" / "checkpoint").glob("[0-9]*"))


def test_an_unstable_run_ends_with_status_1(tmp_path):
    flags = ["--learning-rate", 1e30, "--clip-norm", 1e30, "--no-batch-norm", "--run-dir", tmp_path / "run"]
    process = start(*TINY, *flags)
    _, errors = process.communicate()
    assert process.returncode == 1
    assert "NaN or infinity" in errors
    assert "checkpoint is kept" in errors
    assert (tmp_path / "run" / "checkpoint" / "00000" / "state.json").exists()


GOOD = {"x_labeled": np.eye(4, 3), "y_labeled": np.array([0, 1, 0, 1]), "x_unlabeled": np.ones([9, 3])}


def own(name: str, **changes) -> Callable[[Path], list]:
    def flags(folder: Path) -> list:
        np.savez(folder / name, **{**GOOD, **changes})
        return ["--dataset", folder / f"{name}.npz", *TINY[2:]]

    return flags


def broken_rows(value: float) -> np.ndarray:
    x = np.ones([9, 3])
    x[4, 1] = value
    return x


BAD: dict[str, tuple[Callable[[Path], list], str]] = {
    "unknown flag": (lambda _: ["--colour", "red"], "unrecognized arguments: --colour red"),
    "unknown model": (lambda _: ["--model", "gan"], "Expected model to be one of adgm, sdgm, m2"),
    "recipe of a classifier": (lambda _: ["--model", "avae", "--recipe", "paper"], "Expected --recipe paper with a"),
    "unknown data": (lambda _: ["--dataset", "cifar"], "Expected dataset to be one of digits, moons, mnist"),
    "absent file": (lambda folder: ["--dataset", folder / "no.npz"], "Expected an existing .npz file"),
    "no number": (lambda _: ["--epochs", "many"], "invalid int value: 'many'"),
    "impossible number": (lambda _: ["--learning-rate", "-1"], "Expected learning_rate to be above 0"),
    "nan": (own("nan", x_unlabeled=broken_rows(np.nan)), "Expected finite numbers in x_unlabeled"),
    "infinity": (own("inf", x_unlabeled=broken_rows(np.inf)), "Received NaN or infinity in row 4"),
    "label out of range": (
        own("range", class_names=np.array(["a", "b"]), y_labeled=np.array([0, 1, 2, 0])),
        "Expected every label of y_labeled",
    ),
    "class without label": (own("none", class_names=np.array(["a", "b", "c"])), "Received none of class"),
    "too few labels": (lambda _: ["--labels", "5"], "Expected at least one label for each of the 10 classes"),
    "too many labels": (lambda _: ["--labels", "5000"], "Expected at least 500 labels of class '0'"),
    "mismatched shapes": (own("shape", x_unlabeled=np.ones([9, 4])), "Expected x_unlabeled to have features of"),
    "empty stream": (own("empty", x_unlabeled=np.ones([0, 3])), "with at least one row"),
    "pickled objects": (own("pickle", x_labeled=np.array([{}] * 4)), "no pickled objects"),
    "negative intensities": (
        lambda folder: [*own("minus", x_unlabeled=-np.ones([9, 3]))(folder), "--likelihood", "bernoulli"],
        "Expected features of 0 or more for the bernoulli likelihood",
    ),
    "nothing to resume": (lambda _: ["--resume"], "Expected a run to resume"),
}


def refused(*flags: object) -> str:
    """The one line that the script writes, here without a process of its own."""
    errors = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(errors):
        patch.setattr(sys, "argv", ["train.py", *map(str, flags)])
        status = exit_status("train.py", train.main)
    assert status == 2, errors.getvalue()
    assert len(errors.getvalue().splitlines()) == 1
    return errors.getvalue()


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_one_line_and_leaves_nothing(tmp_path, name):
    flags, message = BAD[name]
    errors = refused(*flags(tmp_path), "--run-dir", tmp_path / "run")
    assert errors.startswith("train.py: Expected ")
    assert "Received" in errors
    assert message in errors
    assert not (tmp_path / "run").exists()


def snapshot(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_an_existing_run_is_not_touched(whole):
    before = snapshot(whole)
    assert "continue it with --resume" in refused(*TINY, "--run-dir", whole)
    assert snapshot(whole) == before


def test_flags_that_contradict_a_run_are_refused(whole):
    before = snapshot(whole)
    errors = refused("--run-dir", whole, "--resume", "--learning-rate", "0.5")
    assert "Expected learning_rate=" in errors
    assert snapshot(whole) == before


@pytest.mark.parametrize("damage", ["corrupt", "foreign", "config"])
def test_a_bad_checkpoint_is_refused(tmp_path, whole, damage):
    run = tmp_path / "run"
    (run / "checkpoint" / "00003").mkdir(parents=True)
    (run / "config.json").write_text((whole / "config.json").read_text())
    for name in ("state.json", "variables.npz"):
        (run / "checkpoint" / "00003" / name).write_bytes((whole / "checkpoint" / "00006" / name).read_bytes())
    flags: list = ["--run-dir", run, "--resume"]
    if damage == "corrupt":
        file = run / "checkpoint" / "00003" / "variables.npz"
        file.write_bytes(file.read_bytes()[:1000])
        message = "Received a damaged one"
    elif damage == "foreign":
        config = json.loads((run / "config.json").read_text()) | {"hidden_units": [9]}
        (run / "config.json").write_text(json.dumps(config))
        message = "Received one of another run"
    else:
        (run / "config.json").write_text("{")
        message = "to hold the configuration of a run"
    assert message in refused(*flags)


def small_files(size: int) -> Callable[[], None]:
    """A disk that takes no more than `size` bytes of a file."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_full_disk_leaves_no_half_run(tmp_path):
    process = start(*TINY, "--run-dir", tmp_path / "run", preexec_fn=small_files(20_000))
    _, errors = process.communicate()
    assert process.returncode == 2
    assert len(errors.splitlines()) == 1
    assert "Expected to write to" in errors
    assert not (tmp_path / "run").exists()


def test_a_folder_that_takes_no_run_is_named(tmp_path):
    (tmp_path / "file").touch()
    assert "Expected to write to" in refused(*TINY, "--run-dir", tmp_path / "file" / "run")
