"""What measures a search, without a training."""

import json

import numpy as np
import pytest

from experiments.tuning import gain, objectives
from tfadgm.config import Config
from tuner.__main__ import make_parser
from tuner.objectives import CLASSES
from tuner.spec import make_spec


def test_a_random_search_is_drawn_without_training():
    spec = make_spec(make_parser().parse_args(objectives._flags("digits", "bound")))
    values = objectives.drawn(spec)
    assert len(values) == objectives.TRIALS
    assert values[0] == pytest.approx(spec.preset())
    assert spec.scorer.config(values[-1]).epochs == 60
    assert len({json.dumps(own, sort_keys=True) for own in values}) == objectives.TRIALS


@pytest.fixture(autouse=True)
def few_draws(monkeypatch) -> None:
    monkeypatch.setattr(objectives, "DRAWS", 200)


def test_a_rank_correlation_comes_with_its_interval():
    trials = [{"bound": float(rank), "test_error": float(rank**2)} for rank in range(10)]
    assert objectives.interval(trials, "bound") == [1.0, 1.0, 1.0]
    found = objectives.ranked([*trials, {"bound": -1.0, "test_error": 50.0}], ["bound"])
    value, low, high = found["spearman"]["bound"]
    assert low < value < high
    assert found["test_error_of_the_choice"] == {"bound": 50.0}


def test_finalists_are_the_best_third_and_the_preset():
    trials = [{"bound": 9.0, "disagreement": 1.0, "test_error": 10.0}]
    trials += [{"bound": float(rank), "disagreement": 5.0 - rank, "test_error": float(rank)} for rank in range(6)]
    assert objectives.of_finalists(trials) == 10.0  # the preset, which is first
    trials[0]["disagreement"] = 9.0
    assert objectives.of_finalists(trials) == 2.0  # the best third of seven are three


@pytest.fixture
def searched(tmp_path, monkeypatch):
    """The folder of a search of the digits, of two trials; the second makes no error on the training points."""
    config = Config.for_dataset("digits", labels=50, epochs=60, label_seed=0)
    (tmp_path / "search.json").write_text(json.dumps({"config": config.flat(), "labels_seen": 50}))
    (tmp_path / "best_config.json").write_text(config.to_json())
    rows = [
        {"trial": name, "score": score, "values": {"vat_epsilon": score}} for name, score in (("00", 2.0), ("01", 1.0))
    ]
    rows[1]["again"] = [1.5]
    report = {"trials": rows, "best": rows[1], "preset": "00"}
    (tmp_path / "report.json").write_text(json.dumps(report))
    y = gain.load_dataset("digits").y
    for name, classes in (("trainings/00", (y + 1) % 10), ("trainings/01", y), ("finalists/01-1", y)):
        (tmp_path / name / "all").mkdir(parents=True)
        np.save(tmp_path / name / "all" / CLASSES, classes)
    return tmp_path


@pytest.mark.filterwarnings("ignore:An input array is constant")  # of two trials drawn with replacement
def test_a_search_is_told_by_errors_that_it_has_not_seen(searched):
    found = gain.hidden("digits", searched)
    assert [row["error"] for row in found["trials"]] == [100.0, 0.0]
    assert (found["fewest"], found["hindsight"], found["spearman"][0]) == ("01", "01", 1.0)
    configs = objectives.configs_of("digits", searched)
    assert [config.vat_epsilon for config in configs.values()] == [2.0, 1.0]


def test_a_choice_is_tested_by_other_labels(searched, monkeypatch):
    monkeypatch.setattr(gain, "searched", lambda flags, folder, jobs: None)
    monkeypatch.setattr(gain, "RUNS", searched.parent)
    rivals, told = gain.choices(".", ["--trials", "2"], [searched.name], jobs=2)
    assert list(rivals) == ["preset", searched.name, f"{searched.name}, 200 epochs"]
    assert told[searched.name]["chosen"] == "01"
    cells = []
    monkeypatch.setattr(gain, "trained", lambda group, jobs: cells.extend(group) or [{"test_error": 1.0}] * len(group))
    found = gain.compared("toy", {"best": rivals[searched.name]}, jobs=1)
    assert {(cell.config.seed, cell.config.label_seed) for cell in cells} == {(seed, seed) for seed in gain.FRESH}
    assert found["runs"]["best"]["test_errors"] == [1.0] * 10
