"""python -m tuner as a user runs it: searches, stops, resumes, fails."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras_tuner
import numpy as np
import pytest

from tfadgm.cli import exit_status
from tfadgm.config import Config
from tfadgm.errors import InputError, TrainingError
from tuner import __main__ as script
from tuner.oracles import make_oracle, save_json
from tuner.plan import make_plan, open_folder
from tuner.search import Search
from tuner.space import Choice, Range, search_space, table

ROOT = Path(__file__).parents[2]
TINY = ["--dataset", "moons", "--epochs", "1", "--objective", "bound", "--finalists", "1", "--finalist-seeds", "1"]
for fixed in ("hidden=[8]", "latent_units=2", "auxiliary_units=2", "unlabeled_batch=5003", "xla=false", "samples=1"):
    TINY += ["--fix", fixed]


def start(*flags: object, environment: dict[str, str] | None = None) -> subprocess.Popen:
    command = [sys.executable, "-u", "-m", "tuner", *map(str, flags)]
    environment = os.environ | (environment or {})
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **pipes)


def finish(*flags: object) -> tuple[int, str, str]:
    process = start(*flags)
    printed, errors = process.communicate()
    return process.returncode, printed, errors


def outcome(folder: Path) -> tuple[dict, dict]:
    report = json.loads((folder / "report.json").read_text())
    return {row["trial"]: (row["scores"], row["values"]) for row in report["trials"]}, report["best"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("search") / "whole"
    status, printed, errors = finish(*TINY, "--trials", 3, "--directory", folder)
    assert (status, errors) == (0, "")
    assert "The search saw 6 labels, all of them yours, and no test label." in printed
    assert [line.split(":")[0] for line in printed.splitlines()[:3]] == ["Trial 0", "Trial 1", "Trial 2"]
    return folder


def test_the_best_configuration_can_be_trained(whole, tmp_path):
    config = Config.from_json((whole / "best_config.json").read_text(), "")
    _, best = outcome(whole)
    assert config.learning_rate == best["values"]["learning_rate"]
    assert config.alpha == pytest.approx(best["values"]["alpha_scale"] * 0.1 * 10_006 / 6)
    command = [
        sys.executable,
        "train.py",
        "--config",
        str(whole / "best_config.json"),
        "--run-dir",
        str(tmp_path / "run"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run" / "config.json").read_text()) == json.loads(config.to_json())


def test_trials_are_sessions_of_hparams(whole):
    assert {path.parent.name for path in (whole / "tensorboard").rglob("events.*")} == {"0", "1", "2"}


def test_finalists_are_judged_again(whole):
    trials, best = outcome(whole)
    assert len(best["scores"]) == 2
    assert best["scores"][0] == min(scores[0] for scores, _ in trials.values())


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


class Scores:
    """Stands for a Judge: a function of the learning rate, with a trial that diverges."""

    base = Config.for_dataset("moons")

    def __init__(self, failing: int | None = None, mistake: bool = False) -> None:
        self.failing, self.mistake, self.calls = failing, mistake, 0

    def __call__(self, values, folder, seed=0, epochs=None):
        self.calls += 1
        folder.mkdir(parents=True, exist_ok=True)
        if self.mistake:
            raise ValueError("shapes (3,) and (4,)")
        if self.calls - 1 == self.failing:
            raise TrainingError("Expected a finite loss")
        return {"bound": abs(np.log(values["learning_rate"] / 1e-3))}


def make_search(folder: Path, judge: Scores, algorithm: str = "random", trials: int = 4, epochs: int = 9) -> Search:
    space = search_space("sdgm", {"learning_rate": Range(1e-5, 1e-1, "log")}, {})
    return Search(make_oracle(algorithm, "bound", space, trials, epochs, 0), judge, folder)


def search(folder: Path, judge: Scores, *arguments, **options) -> keras_tuner.Oracle:
    found = make_search(folder, judge, *arguments, **options)
    found.search()
    return found.oracle


def test_a_trial_that_diverges_fails_alone(tmp_path, capsys):
    oracle = search(tmp_path, Scores(failing=1))
    assert [oracle.trials[str(number)].status for number in range(4)] == [
        "COMPLETED",
        "FAILED",
        "COMPLETED",
        "COMPLETED",
    ]
    assert "Trial 1: failed: " in capsys.readouterr().out


def test_a_mistake_ends_the_search_at_its_first_trial(tmp_path):
    judge = Scores(mistake=True)
    with pytest.raises(keras_tuner.errors.FatalError, match=r"shapes \(3,\) and \(4,\)"):
        search(tmp_path, judge)
    assert judge.calls == 1


@pytest.mark.parametrize("algorithm", ["random", "bayesian", "hyperband"])
def test_an_interrupted_search_draws_what_it_would_have_drawn(tmp_path, algorithm):
    class Interrupted(Scores):
        def __call__(self, *arguments, **options):
            if self.calls == 5:
                raise KeyboardInterrupt
            return super().__call__(*arguments, **options)

    whole = search(tmp_path / "whole", Scores(), algorithm, trials=9)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "search", Interrupted(), algorithm, trials=9)
    judge = Scores()
    resumed = search(tmp_path / "search", judge, algorithm, trials=9)
    assert judge.calls == len(whole.trials) - 5
    found = {name: trial.hyperparameters.values for name, trial in resumed.trials.items()}
    assert found == {name: trial.hyperparameters.values for name, trial in whole.trials.items()}
    assert all(trial.status == "COMPLETED" for trial in resumed.trials.values())


@pytest.mark.parametrize("behind", [1, 2])
def test_a_search_killed_between_two_files_goes_on(tmp_path, behind):
    """The files of the trials are ahead of the oracle's, which saw a trial begin and not what came after."""

    class Killed(Scores):
        def __call__(self, *arguments, **options):
            if self.calls == 3 - behind:
                kept.append(path.read_text())
            if self.calls == 3:
                raise KeyboardInterrupt
            return super().__call__(*arguments, **options)

    kept, path = [], tmp_path / "search" / "trials" / "oracle.json"
    whole = search(tmp_path / "whole", Scores(), trials=6)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "search", Killed(), trials=6)
    path.write_text(kept[0])
    judge = Scores()
    resumed = search(tmp_path / "search", judge, trials=6)
    assert judge.calls == 2 + behind  # the trial that had begun has ended; those after it are drawn again
    found = {name: trial.hyperparameters.values for name, trial in resumed.trials.items()}
    assert found == {name: trial.hyperparameters.values for name, trial in whole.trials.items()}
    assert all(trial.status == "COMPLETED" for trial in resumed.trials.values())


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    save_json(str(tmp_path / "a.json"), {"b": 1})
    with pytest.raises(TypeError):
        save_json(str(tmp_path / "a.json"), {"b": 2, "c": object()})
    assert json.loads((tmp_path / "a.json").read_text()) == {"b": 1}


def test_bayesian_trials_learn_from_earlier_ones(tmp_path):
    """A third of them are random; the rest come closer to the best step size."""
    found = {
        name: list(search(tmp_path / name, Scores(), name, trials=9).trials.values()) for name in ("random", "bayesian")
    }
    values = {name: [trial.hyperparameters.values for trial in trials] for name, trials in found.items()}
    assert values["bayesian"][:3] == values["random"][:3]
    assert all(one != other for one, other in zip(values["bayesian"][3:], values["random"][3:], strict=True))


@pytest.mark.parametrize("algorithm", ["random", "bayesian"])
def test_values_that_float32_does_not_hold_are_chosen_from_too(tmp_path, algorithm):
    space = {"labeled_weight": Choice((0.1, 0.3)), "learning_rate": Range(1e-5, 1e-1, "log")}
    oracle = make_oracle(algorithm, "bound", space, 6, 1, 0)
    Search(oracle, Scores(), tmp_path).search()
    found = {trial.hyperparameters.values["labeled_weight"] for trial in oracle.trials.values()}
    assert found <= {float(np.float32(0.1)), float(np.float32(0.3))}


def test_a_space_of_two_values_ends_after_two_trials(tmp_path):
    oracle = make_oracle("random", "bound", {"learning_rate": Choice((0.1, 0.3))}, 6, 1, 0)
    Search(oracle, Scores(), tmp_path).search()
    assert len(oracle.trials) == 2


def test_a_folder_is_for_one_process(tmp_path):
    flags = script.make_parser().parse_args(["--dataset", "moons", "--directory", str(tmp_path / "search")])
    plan = make_plan(flags)
    first, second = open_folder(plan, False), open_folder(plan, True)
    with first, pytest.raises(InputError, match="Expected a search that is not running"):
        second.__enter__()
    with open_folder(plan, True):
        pass


def test_hyperband_gives_more_epochs_to_fewer_trials(tmp_path):
    given = []

    class Epochs(Scores):
        def __call__(self, values, folder, seed=0, epochs=None):
            given.append(epochs)
            return super().__call__(values, folder)

    search(tmp_path, Epochs(), "hyperband", epochs=9)
    assert set(given) == {1, 3, 9}
    assert given.count(1) > given.count(9)


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
    "one fold": (["--folds", "1"], "Expected folds to be 2 or more. Received: 1"),
    "impossible range": (["--range", "width=9:1"], "Expected a range as"),
    "unknown dimension": (["--range", "foo=1:9"], "Expected a range of one of"),
    "unknown field": (["--fix", "foo=1"], "Expected FIELD=VALUE"),
    "value of another type": (["--fix", "samples=1.5"], "Expected samples to be int"),
    "validation without a file": (["--objective", "val_error"], "Expected --objective val_error together with"),
    "file without validation": (["--validation", "x.npz"], "Expected --objective val_error together with"),
    "no validation file": (["--objective", "val_error", "--validation", "/none.npz"], "Expected arrays x"),
    "no data": (["--dataset", "/none.npz"], "Expected an existing .npz file"),
    "too few labels": (["--labels", "2", "--dataset", "digits"], "Expected at least one label for each of the 10"),
    "one label a class": (["--labels", "10", "--dataset", "digits"], "Expected at least two labels of every class"),
}


def run_script(monkeypatch, capsys, *flags: object) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["tuner", *map(str, flags)])
    status = exit_status("tuner", script.main)
    return status, capsys.readouterr().err


@pytest.mark.parametrize("flags", BAD.values(), ids=BAD)
def test_bad_input_gets_one_line_and_leaves_nothing(tmp_path, monkeypatch, capsys, flags):
    given, message = flags
    status, errors = run_script(monkeypatch, capsys, "--dataset", "moons", "--directory", tmp_path / "new", *given)
    assert status == 2
    assert errors.startswith(f"tuner: {message}")
    assert errors.count("\n") == 1
    assert not (tmp_path / "new").exists()


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
