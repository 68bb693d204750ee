"""What a search ends with: finalists by other seeds, and which trial is announced."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from tests.tuner.helpers import Scores, flags, search
from tfadgm.config import Config
from tfadgm.data.dataset import UNLABELED
from tfadgm.errors import TrainingError
from tuner.objectives import CLASSES
from tuner.report import finish
from tuner.spec import SearchSpec, make_spec


@pytest.fixture
def spec(tmp_path) -> SearchSpec:
    return make_spec(flags("--dataset", "moons", "--directory", tmp_path / "search", "--trials", 4, "--epochs", 9))


def again(scores: dict[str, list[float | None]], calls: list | None = None, flips: dict[str, list[int]] | None = None):
    """Stands for a scorer: the further scores of every trial, None for a divergence.

    `flips`: how many of the first points a training puts into the class 1 instead of 0.
    """

    def scorer(values, folder: Path, seed: int) -> dict[str, float]:
        if calls is not None:
            calls.append(folder.name)
        score = scores[folder.name.split("-")[0]][seed - 1]
        if score is None:
            raise TrainingError("Expected a finite loss")
        if flips is not None:
            write_classes(folder / "all", flips[folder.name.split("-")[0]][seed - 1])
        return {"bound": score}

    return scorer


def test_fresh_seeds_choose_among_finalists_and_are_announced(tmp_path, spec):
    oracle = search(tmp_path / "search", Scores())
    first, second, *_ = (trial.trial_id for trial in oracle.get_best_trials(4))
    told = finish(spec, oracle, [again({first: [9.0, 7.0], second: [5.0, 7.0]})], 2, 2)
    report = json.loads((tmp_path / "search" / "report.json").read_text())
    assert [row["trial"] for row in report["trials"][:2]] == [second, first]
    assert report["best"]["again"] == [5.0, 7.0]
    assert report["best"]["score"] == oracle.trials[second].score
    assert f"Best: trial {second}, bound 6.0000 by other seeds (5.0000, 7.0000). Train it with" in told
    assert f"by the seed of the search {oracle.trials[second].score:.4f}." in told
    assert f"Trainings had 9 epochs, those of the preset have {Config.for_dataset('moons').epochs}:" in told
    assert report["best"]["scores"]["bound"] == report["best"]["score"]


def write_classes(folder: Path, flips: int) -> None:
    folder.mkdir(parents=True)
    np.save(folder / CLASSES, (np.arange(10_006) < flips).astype(int))


def test_of_finalists_by_bound_the_one_whose_trainings_agree_is_chosen(tmp_path, spec):
    folder = tmp_path / "search"
    oracle = search(folder, Scores())
    first, second, third, _ = (trial.trial_id for trial in oracle.get_best_trials(4))
    spec.scorer.dataset.y[:] = UNLABELED
    spec.scorer.dataset.y[-5:] = 0  # which all get right
    flips = {first: [0, 300], second: [100, 150], third: [0, 0]}
    scores = {first: [1.0, 1.0], second: [2.0, 2.0], third: [3.0, None]}
    write_classes(folder / "trainings" / second / "fold", 200)
    told = finish(spec, oracle, [again(scores, flips=flips)], 3, 2)
    report = json.loads((folder / "report.json").read_text())
    assert [row["trial"] for row in report["trials"][:3]] == [second, first, third]  # one that diverges comes last
    assert report["best"]["disagreement"] == pytest.approx(100 * (50 + 100 + 50) / 3 / 10_006)
    assert report["trials"][1]["disagreement"] == pytest.approx(100 * 300 / 10_006)
    assert f"Best: trial {second}, bound 2.0000 by other seeds (2.0000, 2.0000), disagreement 0.67 %." in told


def test_where_labels_judge_their_mean_chooses(tmp_path, spec):
    oracle = search(tmp_path / "search", Scores())
    first, second, *_ = (trial.trial_id for trial in oracle.get_best_trials(4))
    spec = dataclasses.replace(spec, scorer=dataclasses.replace(spec.scorer, objective="val_error"))

    def scorer(values, folder: Path, seed: int) -> dict[str, float]:
        number = folder.name.split("-")[0]
        write_classes(folder / "all", 0 if number == first else 100 * seed)
        return {"val_error": 2.0 if number == first else 1.0}

    finish(spec, oracle, [scorer], 2, 2)
    assert json.loads((tmp_path / "search" / "report.json").read_text())["best"]["trial"] == second


def test_the_preset_is_judged_with_the_finalists(tmp_path, spec):
    oracle = search(tmp_path / "search", Scores())
    ranked = [trial.trial_id for trial in oracle.get_best_trials(4)]
    oracle.first, oracle.start_order = {}, [ranked[3], *ranked[:3]]
    told = finish(spec, oracle, [again({ranked[0]: [7.0], ranked[3]: [8.0]})], 1, 1)
    assert f"The preset: trial {ranked[3]}, bound 8.0000 by other seeds (8.0000)." in told
    report = json.loads((tmp_path / "search" / "report.json").read_text())
    assert [row["trial"] for row in report["trials"]] == [ranked[0], ranked[3], *ranked[1:3]]
    assert report["preset"] == ranked[3]
    (tmp_path / "search" / "finalists" / f"{ranked[3]}-1.json").unlink()
    told = finish(spec, oracle, [again({ranked[0]: [7.0], ranked[3]: [6.0]})], 1, 1)
    assert f"Best: trial {ranked[3]}, the preset, bound 6.0000 by other seeds" in told
    assert f"--config {tmp_path}/search/best_config.json --run-dir {tmp_path}/search/best" in told


def test_a_third_of_the_trials_are_finalists(tmp_path, spec):
    oracle, calls = search(tmp_path / "search", Scores()), []
    first, second, *_ = (trial.trial_id for trial in oracle.get_best_trials(4))
    finish(spec, oracle, [again({first: [7.0], second: [8.0]}, calls)], None, 1)
    assert sorted(calls) == sorted([f"{first}-1", f"{second}-1"])


def test_a_finalist_that_diverges_by_another_seed_loses(tmp_path, spec, capsys):
    oracle, calls = search(tmp_path / "search", Scores()), []
    first, second, *_ = (trial.trial_id for trial in oracle.get_best_trials(4))
    scores = {first: [1.0, None], second: [5.0, 7.0]}
    for _ in range(2):  # a resume knows what has succeeded
        finish(spec, oracle, [again(scores, calls)], 2, 2)
        report = json.loads((tmp_path / "search" / "report.json").read_text())
        assert report["best"]["trial"] == second
        assert report["trials"][1]["again"] == [1.0, None]
    assert len(calls) == 5  # what failed may have done so for want of memory
    assert f"Trial {first} by seed 2: failed: Expected a finite loss" in capsys.readouterr().out


def test_there_is_a_best_even_if_all_finalists_diverge(tmp_path, spec):
    oracle = search(tmp_path / "search", Scores())
    first = oracle.get_best_trials(1)[0].trial_id
    told = finish(spec, oracle, [again({first: [None]})], 1, 1)
    assert f"Best: trial {first}, bound failed by other seeds (failed)." in told


def test_hyperbands_finalists_have_trained_for_all_epochs(tmp_path, spec):
    class Longer(Scores):
        """Fewer epochs score better, which is no merit."""

        def __call__(self, values, folder, seed=0, epochs=None):
            return {"bound": super().__call__(values, folder)["bound"] + epochs}

    oracle = search(tmp_path / "search", Longer(), "hyperband", epochs=9)
    finish(spec, oracle, [again({name: [1.0] for name in oracle.trials})], 2, 1)
    epochs = [row["epochs"] for row in json.loads((tmp_path / "search" / "report.json").read_text())["trials"]]
    assert epochs == sorted(epochs, reverse=True)
    assert epochs[:2] == [9, 9]
    assert epochs[-1] == 1


def test_failures_are_told(tmp_path, spec):
    oracle = search(tmp_path / "search", Scores(failing=1))
    best = oracle.get_best_trials(1)[0].trial_id
    told = finish(spec, oracle, [again({best: [1.0]})], 1, 1)
    assert "1 trials failed; " in told
    report = json.loads((tmp_path / "search" / "report.json").read_text())
    assert "Expected a finite loss" in report["failed"]["1"]
    assert report["labels_seen"] == 6
