"""train.py as a user runs it: the whole run, one real kill and resume, and every kind of bad input."""

import contextlib
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

from tfadgm import cli
from tfadgm.config import RUN, all_hyperparameters
from tfadgm.data.toy import digits
from tfadgm.training import supervised

ROOT = Path(__file__).parents[1]
TINY = ["--labels", "20", "--hidden-units", "8", "--latent-units", "2", "--model", "m2", "--unlabeled-batch", "400",
        "--no-xla"]  # fmt: skip


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


def result(folder: Path) -> tuple[list[np.ndarray], dict]:
    model = keras.models.load_model(folder / "model.keras")
    return [weight.numpy() for weight in model.weights], json.loads((folder / "report.json").read_text())


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A whole run, in this process."""
    folder = tmp_path_factory.mktemp("run") / "whole"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), pytest.MonkeyPatch.context() as patch:
        patch.setattr(supervised, "STEPS", 20)
        cli.train([*TINY, "--epochs", "4", "--run-dir", str(folder)])
    assert "20 labels of 1257 training points, 10 classes. 540 test labels: for the report only" in printed.getvalue()
    assert "LabelSpreading" in printed.getvalue()
    return folder


def test_the_run_folder_holds_what_it_should(whole):
    names = {
        "config.json",
        "metrics.csv",
        "report.json",
        "predictions.csv",
        "model.keras",
        "checkpoint",
        "tensorboard",
        "figures",
    }
    assert {path.name for path in whole.iterdir() if not path.name.startswith(".")} == names
    assert {path.name for path in (whole / "figures").iterdir()} == {"curves.png", "samples.png", "confusion.png"}
    assert len((whole / "metrics.csv").read_text().splitlines()) == 5
    assert list((whole / "tensorboard").rglob("events.*"))
    report = json.loads((whole / "report.json").read_text())
    assert len(report["label_indices"]) == report["labels"] == 20
    assert report["test_labels_used_for_choices"] == 0
    assert (report["epochs"], report["steps"]) == (4, 12)
    assert report["bound"] == -report["elbo"]  # the old key, for one release
    for key in ("test_error", "supervised_error", "label_spreading_error", "self_training_error"):
        assert 0 <= report[key] <= 100
    assert report["examples_per_second"] > 0
    assert 0 <= report["test_ece"] <= 1


def test_the_saved_model_has_the_reported_error(whole):
    data = digits()
    model = keras.models.load_model(whole / "model.keras")
    model.compile(optimizer="adam")
    scores = model.evaluate(data.x_test, data.y_test, verbose=0, return_dict=True)
    report = json.loads((whole / "report.json").read_text())
    assert scores["error"] == pytest.approx(report["test_error"], abs=1e-4)
    assert scores["nll"] == pytest.approx(report["test_nll"], rel=1e-4)


@pytest.mark.slow
def test_a_killed_process_resumes_to_the_same_end(tmp_path, whole):
    """Killed in its first epochs, then resumed in this process."""
    run = tmp_path / "run"
    status, _ = stop_at("Epoch 2/4", signal.SIGKILL, *TINY, "--epochs", 4, "--run-dir", run)
    assert status == -signal.SIGKILL
    cli.train(["--run-dir", str(run), "--resume"])
    (weights, report), (expected, reference) = result(run), result(whole)
    for left, right in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(left, right)
    assert report["test_nll"] == reference["test_nll"]
    assert report["label_indices"] == reference["label_indices"]


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_how_to_resume(tmp_path, how):
    run = tmp_path / "a run"
    status, errors = stop_at("Epoch 3/", how, *TINY, "--epochs", 1000, "--run-dir", run)
    assert status == 130
    assert errors.strip().splitlines()[-1].endswith(f"python train.py --run-dir '{run}' --resume")
    assert list((run / "checkpoint").glob("[0-9]*"))


def test_an_interrupt_tells_a_command_that_a_shell_takes(tmp_path, monkeypatch, capsys):
    def interrupted(config, folder, *_, **__):
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        raise KeyboardInterrupt

    monkeypatch.setattr("tfadgm.pipeline.run", interrupted)
    run = tmp_path / "a run"
    assert cli.exit_status("train.py", lambda: cli.train(["--run-dir", str(run)])) == 130
    assert f"Resume with: python train.py --run-dir '{run}' --resume" in capsys.readouterr().err


def test_an_unstable_run_ends_with_status_1(tmp_path, capsys):
    flags = [
        "--learning-rate",
        "1e30",
        "--global-clipnorm",
        "1e30",
        "--no-batch-norm",
        "--run-dir",
        str(tmp_path / "run"),
    ]
    assert cli.exit_status("train.py", lambda: cli.train([*TINY, *flags])) == 1
    errors = capsys.readouterr().err
    assert "NaN or infinity" in errors
    assert "checkpoint is kept" in errors
    assert (tmp_path / "run" / "checkpoint" / "00000" / "state.json").exists()


@pytest.mark.slow
def test_a_full_disk_leaves_no_half_run(tmp_path):
    """A disk that takes no more than 20,000 bytes of a file."""
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # noqa: E731
    process = start(*TINY, "--run-dir", tmp_path / "run", preexec_fn=limit)
    _, errors = process.communicate()
    assert process.returncode == 2
    assert len(errors.splitlines()) == 1
    assert "Expected to write to" in errors
    assert not (tmp_path / "run").exists()


def test_help_shows_every_choice_with_its_default(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")  # lines break at hyphens
    with pytest.raises(SystemExit) as ended:
        cli.train(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    for name, own in RUN.items():
        assert f"--{name.replace('_', '-')}" in told
        assert " ".join(f"{own.help} (default: {own.default}".split()) in told
    for name, found in all_hyperparameters().items():
        assert f"--{name.replace('_', '-')}" in told
        assert found[0][1].help.split(" (")[0] in told
    assert "--adversarial-radius" not in told  # of version 0.1: taken, not shown


def test_letters_that_a_terminal_lacks_are_shown_by_their_number(monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    assert cli.exit_status("t", lambda: print("Maal\xf8e")) == 0
    terminal.flush()
    assert terminal.buffer.getvalue() == b"Maal\\xf8e\n"


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
    "recipe of a classifier": (
        lambda _: ["--model", "avae", "--recipe", "paper"],
        "Expected --recipe paper with a classifier. Received: avae",
    ),
    "unknown data": (lambda _: ["--dataset", "cifar"], "Expected dataset to be one of digits, moons, mnist"),
    "absent file": (lambda folder: ["--dataset", folder / "no.npz"], "Expected an existing .npz file"),
    "no number": (lambda _: ["--epochs", "many"], "invalid int value: 'many'"),
    "impossible number": (lambda _: ["--learning-rate", "-1"], "Expected learning_rate to be above 0"),
    "a batch of one": (lambda _: ["--labeled-batch", "1"], "Expected labeled_batch to be 2 or more with batch norm"),
    "a variable that it lacks": (
        lambda _: ["--model", "m2", "--auxiliary-units", "7"],
        "Expected auxiliary_units to be left out with m2. Received: 7",
    ),
    "nan": (own("nan", x_unlabeled=broken_rows(np.nan)), "Expected finite numbers in x_unlabeled"),
    "infinity": (own("inf", x_unlabeled=broken_rows(np.inf)), "Received NaN or infinity in row 4"),
    "label out of range": (
        own("range", class_names=np.array(["a", "b"]), y_labeled=np.array([0, 1, 2, 0])),
        "Expected every label of y_labeled",
    ),
    "class without label": (own("none", class_names=np.array(["a", "b", "c"])), "Received none of class"),
    "too few labels": (lambda _: ["--labels", "5"], "Expected at least one label for each of the 10 classes"),
    "too many labels": (lambda _: ["--labels", "5000"], "Expected at most 1257 labels"),
    "mismatched shapes": (own("shape", x_unlabeled=np.ones([9, 4])), "Expected x_unlabeled to have features of"),
    "empty stream": (own("empty", x_unlabeled=np.ones([0, 3])), "with at least one row"),
    "pickled objects": (own("pickle", x_labeled=np.array([{}] * 4)), "no pickled objects"),
    "labels of pandas": (own("objects", y_labeled=np.array(["a", "b"] * 2, object)), "save labels with .astype(str)"),
    "negative intensities": (
        lambda folder: [*own("minus", x_unlabeled=-np.ones([9, 3]))(folder), "--likelihood", "bernoulli"],
        "Expected features of 0 or more for the bernoulli likelihood",
    ),
    "nothing to resume": (lambda _: ["--resume"], "Expected a run to resume"),
}


def refused(*flags: object) -> str:
    """The one line that the script writes, here without a process of its own."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        status = cli.exit_status("train.py", lambda: cli.train(list(map(str, flags))))
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


def test_a_folder_that_takes_no_run_is_named(tmp_path):
    (tmp_path / "file").touch()
    assert "Expected to write to" in refused(*TINY, "--run-dir", tmp_path / "file" / "run")


def test_the_home_folder_may_follow_an_equals_sign(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "y").touch()
    assert f"Received the existing {tmp_path}/x" in refused(*TINY, "--run-dir=~/x")


def test_names_of_version_0_1_are_flags(tmp_path):
    old = [
        "--adversarial-radius",
        "-1",
        "--prior-matching",
        "1",
        "--weight-average",
        "0.9",
        "--clip-norm",
        "1",
        "--draws",
        "1",
    ]
    assert "Expected vat_epsilon to be 0 or more. Received: -1.0" in refused(*old)
