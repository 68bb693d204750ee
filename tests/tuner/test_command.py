"""python -m tuner as a user runs it: searches, stops, resumes, bad input."""

import contextlib
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins.hparams import metadata
from tensorboard.util import tensor_util

from tests.tuner.helpers import TINY, InProcess, eagerly, flags, outcome, own_file, run_command
from tfadgm import cli
from tfadgm.config import Config
from tfadgm.errors import InputError
from tuner import __main__ as command
from tuner.spec import SearchSpec, make_spec, open_folder

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
    for name in ("learning_rate", "marginalization", "batch_norm", "labeled_batch"):
        assert trials["0"][1][name] == pytest.approx(getattr(preset, name))
    assert (trials["0"][1]["alpha_scale"], trials["0"][1]["vat_epsilon"]) == (1, 0)  # what the data decide


def test_the_line_of_the_best_trains_it_to_its_score(whole, monkeypatch):
    monkeypatch.setattr("tfadgm.pipeline._draw", lambda *_: None)
    config = Config.read(whole / "best_config.json")
    _, best = outcome(whole)
    assert config.learning_rate == best["values"]["learning_rate"]
    assert config.alpha == pytest.approx(best["values"]["alpha_scale"] * 500)
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
