"""python -m tuner as a user runs it: searches, stops, resumes, bad input."""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins.hparams import metadata
from tensorboard.util import tensor_util

from tests.tuner.helpers import ROLES, TINY, InProcess, eagerly, flags, free_port, outcome, own_file, run_command
from tfadgm import cli
from tfadgm.config import Config
from tfadgm.errors import InputError
from tuner import __main__ as command
from tuner.keras_tuner_private import make_oracle
from tuner.space import table
from tuner.spec import SearchSpec, check_same, make_spec, open_folder

ROOT = Path(command.__file__).parents[1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The folder of a search of two trials, in this process."""
    folder = tmp_path_factory.mktemp("search")
    given = [*TINY, "--dataset", own_file(folder / "own.npz"), "--trials", 2, "--directory", folder / "whole"]
    with pytest.MonkeyPatch.context() as patch, open(folder / "printed.txt", "w") as printed:
        patch.setattr(command, "ScorerProcess", InProcess)
        with contextlib.redirect_stdout(printed), eagerly():
            command.main(list(map(str, given)))
    return folder / "whole"


def printed_by(folder: Path) -> str:
    return (folder.parent / "printed.txt").read_text()


def test_what_a_search_prints(whole):
    printed = printed_by(whole)
    assert "The search saw 6 labels, all of them yours, and no test label." in printed
    assert [line.split(":")[0] for line in printed.splitlines()[:2]] == ["Trial 0", "Trial 1"]
    assert printed.splitlines()[1].endswith(", 2 of 2 trials")
    assert {path.name for path in whole.iterdir()} >= {
        "search.json", "best_config.json", "report.json", "trainings", "finalists",
    }  # fmt: skip
    assert not list(whole.glob("*/*/*/checkpoint"))


def test_the_first_trial_is_the_preset(whole):
    trials, _ = outcome(whole)
    preset = Config.for_dataset(str(whole.parent / "own.npz"))
    for name in ("learning_rate", "marginalization", "batch_norm", "vat_epsilon", "labeled_batch"):
        assert trials["0"][1][name] == pytest.approx(getattr(preset, name))
    assert trials["0"][1]["alpha_scale"] == 1


def test_the_line_of_the_best_trains_it_to_its_score(whole, monkeypatch):
    monkeypatch.setattr("tfadgm.pipeline._draw", lambda *_: None)
    config = Config.read(whole / "best_config.json")
    _, best = outcome(whole)
    assert config.learning_rate == best["values"]["learning_rate"]
    assert config.alpha == pytest.approx(best["values"]["alpha_scale"] * 0.1 * 60 / 6)
    (line,) = [line for line in printed_by(whole).splitlines() if line.startswith("  python train.py ")]
    with eagerly():
        cli.train(shlex.split(line)[2:])
    assert json.loads((whole / "best" / "config.json").read_text()) == json.loads(config.to_json())
    report = json.loads((whole / "best" / "report.json").read_text())
    assert report["bound"] == pytest.approx(best["score"], rel=1e-4)  # the same seed, a training of its own


def test_tensorboard_reads_the_trials_as_sessions_of_hparams(whole):
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(whole / "tensorboard")).Reload()
    found = multiplexer.PluginRunToTagToContent(metadata.PLUGIN_NAME)
    trials, _ = outcome(whole)
    assert set(found) == set(trials) == {"0", "1"}
    for name, tags in found.items():
        told = metadata.parse_session_start_info_plugin_data(tags[metadata.SESSION_START_INFO_TAG]).hparams
        assert told["learning_rate"].number_value == pytest.approx(trials[name][1]["learning_rate"])
        (score,) = multiplexer.Tensors(name, "bound")
        assert tensor_util.make_ndarray(score.tensor_proto) == pytest.approx(trials[name][0])


def test_finalists_are_judged_again(whole):
    trials, best = outcome(whole)
    assert best["score"] == min(score for score, _ in trials.values())
    assert len(best["again"]) == 1
    assert best["mean"] == best["again"][0] != best["score"]


def test_more_trials_go_on_where_fewer_ended(whole, tmp_path, monkeypatch, capsys):
    """With the data under another path, in a folder that is a pattern; the trials made are not made again."""
    folder, data, calls = tmp_path / "s[1]", own_file(tmp_path / "other.npz"), []
    copied = subprocess.run(["cp", "-r", whole, folder])
    assert copied.returncode == 0

    def scorer(values, own, seed=0, epochs=None):
        calls.append(own.name)
        own.mkdir(parents=True)
        return {"bound": 1e9}

    monkeypatch.setattr(command, "ScorerProcess", lambda own, threads: InProcess(scorer))
    given = [*TINY, "--dataset", data, "--directory", folder]
    status, _, errors = run_command(capsys, *given, "--trials", 1, "--resume")
    assert (status, "trials is 1 instead of 2" in errors) == (2, True)
    status, printed, errors = run_command(capsys, *given, "--trials", 3, "--resume")
    assert (status, errors) == (0, "")
    assert calls == ["2"]
    trials, best = outcome(folder)
    assert trials.pop("2")[0] == 1e9
    assert (trials, best) == outcome(whole)
    assert "Trial 0:" not in printed
    assert json.loads((folder / "search.json").read_text())["trials"] == 3
    own_file(data, seed=1)
    status, _, errors = run_command(capsys, *given, "--trials", 3, "--resume")
    assert (status, "Received flags or data of another: data is" in errors) == (2, True)


def test_a_search_in_which_nothing_succeeds_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "ScorerProcess", InProcess)
    given = ["--dataset", own_file(tmp_path / "own.npz"), "--trials", 1, "--directory", tmp_path / "search"]
    given += ["--fix", "learning_rate=1e30", "--fix", "batch_norm=false"]
    with eagerly():
        status, printed, errors = run_command(capsys, *TINY, *given)
    assert status == 1
    assert printed.count(": failed: ") == 1
    assert errors.startswith("tuner: Expected at least one of 1 trials to succeed. Received: ")
    assert "finite" in errors
    assert errors.count("\n") == 1


def spec_of(folder: Path, *given: object) -> SearchSpec:
    return make_spec(flags("--dataset", "moons", "--directory", folder, *given))


def test_a_folder_is_for_one_process(tmp_path):
    spec = spec_of(tmp_path / "search")
    with open_folder(spec, False), pytest.raises(InputError, match="Expected a search that is not running"):
        open_folder(spec, True).__enter__()
    with open_folder(spec, True):
        pass


def test_of_two_starts_in_a_new_folder_one_goes_on(tmp_path, monkeypatch):
    spec, contents = spec_of(tmp_path / "search"), SearchSpec.contents
    (tmp_path / "search").mkdir()  # by the other, a moment ago
    with open_folder(spec, False):
        before = (spec.folder / "search.json").read_text()
        monkeypatch.setattr("tuner.spec._check_folder", lambda *_: None)  # which looked earlier
        with pytest.raises(InputError, match="which is in use"):
            open_folder(spec, False).__enter__()
        assert (spec.folder / "search.json").read_text() == before
        assert json.loads(before) == json.loads(json.dumps(contents(spec)))


def test_a_start_that_was_faster_is_left_alone(tmp_path, monkeypatch):
    """It has begun and ended between this one's look and its lock."""
    spec, mkdir, begun = spec_of(tmp_path / "search"), Path.mkdir, []

    def overtaken(path: Path, *given, **options) -> None:
        mkdir(path, *given, **options)
        if path == spec.folder and not begun:
            begun.append(True)
            with open_folder(spec, False):
                pass

    monkeypatch.setattr(Path, "mkdir", overtaken)
    with pytest.raises(InputError, match="which holds a search: continue it with --resume"):
        open_folder(spec, False).__enter__()
    assert (spec.folder / "search.json").exists()


def other_search(folder: Path) -> None:
    folder.mkdir()
    (folder / "search.json").write_text('{"config": {"dataset": "digits"}}')


def other_files(folder: Path) -> None:
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")


BAD = {
    "unknown flag": (["--foo"], "Expected flags as in --help"),
    "a model without labels": (["--model", "vae"], "Expected a model that learns from labels. Received: vae"),
    "no trials": (["--trials", "0"], "Expected trials to be 1 or more. Received: 0"),
    "one fold": (["--objective", "cv_error", "--folds", "1"], "Expected folds to be 2 or more. Received: 1"),
    "folds of nothing": (["--folds", "2"], "Expected --folds with --objective cv_error or combined. Received: bound"),
    "impossible range": (["--range", "width=9:1"], "Expected a range as"),
    "unknown dimension": (["--range", "foo=1:9"], "Expected a range of one of"),
    "unknown field": (["--fix", "foo=1"], "Expected FIELD=VALUE"),
    "value of another type": (["--fix", "samples=1.5"], "Expected samples to be int"),
    "one number of units": (["--fix", "hidden=500"], "Expected hidden_units to be a list of whole numbers"),
    "a depth below 0": (["--range", "depth=-3:2"], "Expected every value of the range of depth to be usable"),
    "a depth that is no number": (["--fix", "depth=true"], "Expected every value of the range of depth to be usable"),
    "a field fixed twice": (
        ["--fix", "alpha=3", "--fix", "alpha_scale=2"],
        "Expected alpha_scale or alpha to be fixed",
    ),
    "a value twice": (["--range", "batch_norm=false,false"], "Expected a range as"),
    "the last seed": (["--seed", str(2**31 - 1)], "Expected a seed below 2147483643"),
    "nothing to resume": (["--resume"], "Expected a search to resume in"),
    "validation without a file": (["--objective", "val_error"], "Expected --objective val_error together with"),
    "file without validation": (["--validation", "x.npz"], "Expected --objective val_error together with"),
    "no validation file": (["--objective", "val_error", "--validation", "/none.npz"], "Expected arrays x"),
    "unknown model": (["--model", "foo"], "Expected model to be one of"),
    "another model's field": (["--model", "m2", "--fix", "auxiliary_units=3"], "Expected FIELD=VALUE"),
    "no data": (["--dataset", "/none.npz"], "Expected an existing .npz file"),
    "too few labels": (["--labels", "2", "--dataset", "digits"], "Expected at least one label for each of the 10"),
    "one label a class": (
        ["--labels", "10", "--dataset", "digits", "--objective", "cv_error"],
        "Expected at least two labels of every class",
    ),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_bad_input_gets_one_line_and_leaves_nothing(tmp_path, capsys, bad):
    given, message = bad
    status, _, errors = run_command(capsys, "--dataset", "moons", "--directory", tmp_path / "new", *given)
    assert status == 2
    assert errors.startswith(f"tuner: {message}")
    assert errors.count("\n") == 1
    assert not (tmp_path / "new").exists()


def validated(path: Path, x: np.ndarray, y: object) -> SearchSpec:
    np.savez(path, x=x, y=y)
    return make_spec(flags("--dataset", "moons", "--objective", "val_error", "--validation", path))


@pytest.mark.parametrize("y", [["lower", "upper"], [1, 0], np.array([1, 0], np.uint8)])
def test_classes_of_a_validation_set_are_names_or_indices(tmp_path, y):
    spec = validated(tmp_path / "validation.npz", np.zeros([2, 2]), y)
    assert spec.scorer.validation[1].tolist() == [1, 0]
    assert spec.scorer.labels_seen == 8


def test_numbers_are_names_where_classes_are_numbers(tmp_path):
    x, y = np.zeros([4, 2], np.float32), np.array([3, 5, 5, 3])
    np.savez(tmp_path / "own.npz", x_labeled=x, y_labeled=y, x_unlabeled=x)
    given = ["--dataset", tmp_path / "own.npz", "--objective", "val_error", "--validation", tmp_path / "validation.npz"]
    np.savez(tmp_path / "validation.npz", x=x[:2], y=np.array([5, 3]))
    assert make_spec(flags(*given)).scorer.validation[1].tolist() == [1, 0]
    np.savez(tmp_path / "validation.npz", x=x[:2], y=np.array([1, 0]))
    with pytest.raises(InputError, match="Expected y of the classes 3, 5. Received: '1'"):
        make_spec(flags(*given))


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.full([2, 2], np.nan), ["upper", "lower"], "Expected finite numbers in x"),
        (np.zeros([0, 2]), [], "Expected x to hold numbers"),
        (np.array([["a", "b"]]), ["upper"], "Expected x to hold numbers"),
        (np.zeros([2, 3]), ["upper", "lower"], "features (2,), like the training points. Received: (3,)"),
        (np.zeros([2, 2, 1]), ["upper", "lower"], "features (2,), like the training points. Received: (2, 1)"),
        (np.zeros([1, 2]), ["left"], "Expected y of the classes upper, lower. Received: 'left'"),
        (np.zeros([1, 2]), [2], "Expected y of the classes 0, 1. Received: '2'"),
        (np.zeros([1, 2], np.uint8), ["upper"], "Expected x of float32"),
        (np.zeros([2, 2]), ["upper"], "as many y"),
    ],
)
def test_validation_sets_that_cannot_judge(tmp_path, x, y, message):
    path = tmp_path / "validation.npz"
    with pytest.raises(InputError) as error:
        validated(path, x, y)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_a_damaged_file_of_flags_is_one_line(tmp_path, capsys):
    (tmp_path / "flags.txt").write_text("--dataset user's.npz\n")
    status, _, errors = run_command(capsys, f"@{tmp_path}/flags.txt")
    assert status == 2
    assert errors.startswith("tuner: Expected a file of flags as a shell reads them. Received ")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("prepare", "given", "message"),
    [
        (other_search, [], "Expected a new folder. Received"),
        (other_search, ["--resume"], "Expected the search of"),
        (other_files, [], "Expected a new folder or that of a search"),
        (lambda folder: folder.write_text(""), [], "Expected to write to"),
    ],
)
def test_folders_that_are_not_this_search(tmp_path, capsys, prepare, given, message):
    folder = tmp_path / "search"
    prepare(folder)
    before = sorted(tmp_path.rglob("*"))
    status, _, errors = run_command(capsys, "--dataset", "moons", "--directory", folder, *given)
    assert status == 2
    assert errors.startswith(f"tuner: {message}")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_search_older_than_a_field_or_a_name_goes_on(tmp_path):
    spec = spec_of(tmp_path / "search")
    with open_folder(spec, False):
        pass
    path = tmp_path / "search" / "search.json"
    told = json.loads(path.read_text())
    del told["config"]["dequantize"]
    told["config"]["adversarial_radius"] = told["config"].pop("vat_epsilon")
    told["space"]["adversarial_radius"] = told["space"].pop("vat_epsilon")
    path.write_text(json.dumps(told))
    with open_folder(spec, True):
        pass
    told["config"]["alpha"] = 3.0
    path.write_text(json.dumps(told))
    with pytest.raises(InputError, match="alpha is None instead of 3.0"):
        open_folder(spec, True).__enter__()


def test_more_trials_are_for_a_resume_alone(tmp_path):
    """A worker has the flags of its chief."""
    with open_folder(spec_of(tmp_path / "search", "--trials", 2), False):
        pass
    spec = spec_of(tmp_path / "search", "--trials", 3)
    with pytest.raises(InputError, match="trials is 3 instead of 2"):
        check_same(spec)
    with open_folder(spec, True):
        check_same(spec)


def test_what_stands_for_a_field_can_be_fixed_too():
    spec = make_spec(flags("--dataset", "moons", "--fix", "width=64", "--fix", "alpha_scale=2"))
    values = make_oracle("random", "bound", spec.space, 1, 1, 0).populate_space("0")["values"]
    assert (values["width"], values["alpha_scale"]) == (64, 2)
    assert "width                         64 (fixed)" in table(spec.space, spec.fixed)


def test_the_space_is_shown_and_nothing_is_done(tmp_path, capsys):
    status, printed, _ = run_command(capsys, "--show-space", "--dataset", "moons", "--directory", tmp_path / "new")
    assert status == 0
    assert "learning_rate" in printed
    assert not (tmp_path / "new").exists()


def test_home_is_a_folder_of_paths(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    found = flags("--directory", "~/x", "--validation=~/y.npz")
    assert (found.directory, found.validation) == (Path("/home/somebody/x"), Path("/home/somebody/y.npz"))


def test_an_installation_without_keras_tuner_is_told(tmp_path, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.startswith("tuner.")]:
        if name not in ("tuner.__main__", "tuner.spec", "tuner.space", "tuner.objectives", "tuner.progress"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "keras_tuner", None)
    status, _, errors = run_command(capsys, "--dataset", "moons", "--directory", tmp_path / "new")
    assert status == 2
    assert errors.startswith("tuner: Expected the package keras_tuner. ")
    assert "tfadgm[tune]" in errors
    assert errors.count("\n") == 1


# The command as a process.


def start(*given: object, environment: dict[str, str] | None = None) -> subprocess.Popen:
    line = [sys.executable, "-u", "-m", "tuner", *map(str, given)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(line, cwd=ROOT, env=os.environ | (environment or {}), text=True, **pipes)


def finish(*given: object) -> tuple[int, str, str]:
    process = start(*given)
    printed, errors = process.communicate()
    return process.returncode, printed, errors


@pytest.mark.slow
def test_a_killed_search_resumes_to_the_same_end(tmp_path):
    given = [*TINY, "--dataset", own_file(tmp_path / "own.npz"), "--trials", 3, "--directory"]
    status, _, errors = finish(*given, tmp_path / "whole")
    assert (status, errors) == (0, "")
    process = start(*given, tmp_path / "search")
    for line in process.stdout:
        if line.startswith("Trial 0"):
            process.send_signal(signal.SIGKILL)
    process.communicate()
    status, printed, errors = finish(*given, tmp_path / "search", "--resume")
    assert (status, errors) == (0, "")
    assert "Trial 0:" not in printed
    assert outcome(tmp_path / "search") == outcome(tmp_path / "whole")


@pytest.mark.slow
def test_an_interrupted_search_of_two_processes_resumes(tmp_path):
    given = [*TINY, "--dataset", own_file(tmp_path / "own.npz"), "--trials", 4, "--workers", 2]
    given += ["--directory", tmp_path / "search"]
    process = start(*given)
    assert process.stdout.readline().startswith("Trial ")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert errors.endswith("tuner: interrupted. Resume with the same command and --resume\n")
    status, printed, errors = finish(*given, "--resume")
    assert (status, errors) == (0, "")
    assert "failed" not in printed
    assert len(outcome(tmp_path / "search")[0]) == 4


@pytest.mark.slow
def test_a_killed_chief_goes_on(tmp_path):
    folder, address = tmp_path / "search", f"127.0.0.1:{free_port()}"
    given = [*TINY, "--dataset", own_file(tmp_path / "own.npz"), "--trials", 3, "--directory", folder]
    chief = start(*given, "--chief", "--address", address)
    first = start(*given, "--worker", 1, "--address", address)
    second = start(*given, environment=dict(zip(ROLES, ["tuner2", *address.split(":")], strict=True)))
    for line in chief.stdout:
        if line.startswith("Trial "):
            chief.send_signal(signal.SIGKILL)
    chief.communicate()
    status, printed, errors = finish(*given, "--resume", "--chief", "--address", address)
    assert (status, errors) == (0, "")
    assert line not in printed
    for worker in (first, second):
        _, errors = worker.communicate()
        assert (worker.returncode, errors) == (0, "")
    trials, _ = outcome(folder)
    assert len(trials) == 3


@pytest.mark.slow
def test_a_missing_chief_is_one_line(tmp_path):
    address = f"127.0.0.1:{free_port()}"
    status, printed, errors = finish(
        *TINY, "--dataset", "moons", "--directory", tmp_path / "search", "--worker", 1, "--address", address
    )
    assert (status, printed) == (2, "")
    assert errors == (
        f"tuner: Expected the chief of the search at {address}. Received no answer for 40 s: "
        "start it with the same flags and --chief\n"
    )
