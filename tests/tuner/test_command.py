"""python -m tuner as a user runs it: searches, stops, resumes, bad input."""

import contextlib
import json
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

from tests.tuner.helpers import (
    ROOT,
    TINY,
    finish,
    outcome,
    run_script,
    start,
)
from tfadgm.cli import exit_status
from tfadgm.config import Config
from tfadgm.errors import InputError
from tuner import __main__ as script
from tuner.oracles import make_oracle
from tuner.plan import Plan, make_plan, open_folder
from tuner.space import table


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("search") / "whole"
    status, printed, errors = finish(*TINY, "--trials", 3, "--directory", folder)
    assert (status, errors) == (0, "")
    assert "The search saw 6 labels, all of them yours, and no test label." in printed
    assert [line.split(":")[0] for line in printed.splitlines()[:3]] == ["Trial 0", "Trial 1", "Trial 2"]
    assert printed.splitlines()[2].endswith(", 3 of 3 trials")
    (folder / "printed.txt").write_text(printed)
    return folder


def test_the_first_trial_is_the_preset(whole):
    trials, _ = outcome(whole)
    preset = Config.for_dataset("moons")
    for name in ("learning_rate", "marginalization", "batch_norm", "warm_up", "adversarial_radius", "labeled_batch"):
        assert trials["0"][1][name] == pytest.approx(getattr(preset, name))
    assert trials["0"][1]["alpha_scale"] == 1


def test_the_line_of_the_best_trains_it_to_its_score(whole):
    config = Config.from_json((whole / "best_config.json").read_text(), "")
    _, best = outcome(whole)
    assert config.learning_rate == best["values"]["learning_rate"]
    assert config.alpha == pytest.approx(best["values"]["alpha_scale"] * 0.1 * 10_006 / 6)
    lines = (whole / "printed.txt").read_text().splitlines()
    (line,) = [line.split("python ")[1] for line in lines if line.startswith("  python train.py ")]
    done = subprocess.run([sys.executable, *shlex.split(line)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads((whole / "best" / "config.json").read_text()) == json.loads(config.to_json())
    report = json.loads((whole / "best" / "report.json").read_text())
    assert report["bound"] == pytest.approx(best["score"], rel=1e-4)  # the same seed, a training of its own


def test_tensorboard_reads_the_trials_as_sessions_of_hparams(whole):
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(whole / "tensorboard")).Reload()
    found = multiplexer.PluginRunToTagToContent(metadata.PLUGIN_NAME)
    trials, _ = outcome(whole)
    assert set(found) == set(trials) == {"0", "1", "2"}
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


@pytest.mark.slow
def test_a_killed_search_resumes_to_the_same_end(whole, tmp_path):
    process = start(*TINY, "--trials", 3, "--directory", tmp_path / "search")
    for line in process.stdout:
        if line.startswith("Trial 0"):
            process.send_signal(signal.SIGKILL)
    process.communicate()
    status, printed, errors = finish(*TINY, "--trials", 3, "--directory", tmp_path / "search", "--resume")
    assert (status, errors) == (0, "")
    assert "Trial 0:" not in printed
    assert outcome(tmp_path / "search") == outcome(whole)


def test_a_search_in_which_nothing_succeeds_says_so(tmp_path):
    flags = [
        *TINY,
        "--fix",
        "learning_rate=1e30",
        "--fix",
        "batch_norm=false",
        "--trials",
        2,
        "--directory",
        tmp_path / "search",
    ]
    status, printed, errors = finish(*flags)
    assert status == 1
    assert printed.count(": failed: ") == 2
    assert errors.startswith("tuner: Expected at least one of 2 trials to succeed. Received: ")
    assert "finite" in errors
    assert errors.count("\n") == 1


def test_a_folder_is_for_one_process(tmp_path):
    flags = script.make_parser().parse_args(["--dataset", "moons", "--directory", str(tmp_path / "search")])
    plan = make_plan(flags)
    first, second = open_folder(plan, False), open_folder(plan, True)
    with first, pytest.raises(InputError, match="Expected a search that is not running"):
        second.__enter__()
    with open_folder(plan, True):
        pass


def test_of_two_starts_in_a_new_folder_one_goes_on(tmp_path, monkeypatch):
    flags = script.make_parser().parse_args(["--dataset", "moons", "--directory", str(tmp_path / "search")])
    plan, to_json = make_plan(flags), Plan.to_json

    def overtaken(own: Plan) -> str:
        monkeypatch.setattr(Plan, "to_json", to_json)
        faster.enter_context(open_folder(plan, False))
        return to_json(own)

    monkeypatch.setattr(Plan, "to_json", overtaken)
    with contextlib.ExitStack() as faster:
        with pytest.raises(InputError, match="where a search has just begun"):
            open_folder(plan, False).__enter__()
        assert (plan.folder / "search.json").read_text() == to_json(plan)


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
    "no data": (["--dataset", "/none.npz"], "Expected an existing .npz file"),
    "too few labels": (["--labels", "2", "--dataset", "digits"], "Expected at least one label for each of the 10"),
    "one label a class": (
        ["--labels", "10", "--dataset", "digits", "--objective", "cv_error"],
        "Expected at least two labels of every class",
    ),
}


@pytest.mark.parametrize("flags", BAD.values(), ids=BAD)
def test_bad_input_gets_one_line_and_leaves_nothing(tmp_path, monkeypatch, capsys, flags):
    given, message = flags
    status, errors = run_script(monkeypatch, capsys, "--dataset", "moons", "--directory", tmp_path / "new", *given)
    assert status == 2
    assert errors.startswith(f"tuner: {message}")
    assert errors.count("\n") == 1
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.full([2, 2], np.nan), ["upper", "lower"]),
        (np.zeros([0, 2]), []),
        (np.array([["a", "b"]]), ["upper"]),
        (np.zeros([2, 3]), ["upper", "lower"]),
        (np.zeros([1, 2]), ["left"]),
        (np.zeros([1, 2], np.uint8), ["upper"]),
        (np.zeros([2, 1]), ["upper"]),
    ],
)
def test_validation_sets_that_cannot_judge(tmp_path, monkeypatch, capsys, x, y):
    path = tmp_path / "validation.npz"
    np.savez(path, x=x, y=y)
    flags = ["--dataset", "moons", "--objective", "val_error", "--validation", path, "--directory", tmp_path / "new"]
    status, errors = run_script(monkeypatch, capsys, *flags)
    assert status == 2
    assert "Expected " in errors
    assert str(path) in errors
    assert errors.count("\n") == 1


def test_a_damaged_file_of_flags_is_one_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "flags.txt").write_text("--dataset user's.npz\n")
    status, errors = run_script(monkeypatch, capsys, f"@{tmp_path}/flags.txt")
    assert status == 2
    assert errors.startswith("tuner: Expected a file of flags as a shell reads them. Received ")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("prepare", "flags", "message"),
    [
        (other_search, [], "Expected a new folder. Received"),
        (other_search, ["--resume"], "Expected the search of"),
        (other_files, [], "Expected a new folder or that of a search"),
        (lambda folder: folder.write_text(""), [], "Expected to write to"),
    ],
)
def test_folders_that_are_not_this_search(tmp_path, monkeypatch, capsys, prepare, flags, message):
    folder = tmp_path / "search"
    prepare(folder)
    before = sorted(tmp_path.rglob("*"))
    status, errors = run_script(monkeypatch, capsys, "--dataset", "moons", "--directory", folder, *flags)
    assert status == 2
    assert errors.startswith(f"tuner: {message}")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_search_older_than_a_field_goes_on(tmp_path):
    plan = make_plan(script.make_parser().parse_args(["--dataset", "moons", "--directory", str(tmp_path / "search")]))
    with open_folder(plan, False):
        pass
    path = tmp_path / "search" / "search.json"
    told = json.loads(path.read_text())
    del told["config"]["dequantize"]
    path.write_text(json.dumps(told))
    with open_folder(plan, True):
        pass
    told["config"]["alpha"] = 3.0
    path.write_text(json.dumps(told))
    with pytest.raises(InputError, match="alpha is None instead of 3.0"), open_folder(plan, True):
        pass


def test_what_stands_for_a_field_can_be_fixed_too():
    flags = script.make_parser().parse_args(["--dataset", "moons", "--fix", "width=64", "--fix", "alpha_scale=2"])
    plan = make_plan(flags)
    oracle = make_oracle("random", "bound", plan.space, 1, 1, 0)
    values = oracle.populate_space("0")["values"]
    assert (values["width"], values["alpha_scale"]) == (64, 2)
    assert "width               64 (fixed)" in table(plan.space, plan.fixed)


def test_the_space_is_shown_and_nothing_is_done(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        sys, "argv", ["tuner", "--show-space", "--dataset", "moons", "--directory", str(tmp_path / "new")]
    )
    assert exit_status("tuner", script.main) == 0
    assert "learning_rate" in capsys.readouterr().out
    assert not (tmp_path / "new").exists()
