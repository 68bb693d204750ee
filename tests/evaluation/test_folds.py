"""An honest error from the labels alone."""

import numpy as np
import pytest
from scipy import stats

from tests.support.toys import Softmax, stripes, toys  # noqa: F401  a fixture
from tfadgm.config import Config
from tfadgm.data.dataset import UNLABELED
from tfadgm.data.labels import without_labels
from tfadgm.errors import InputError, TrainingError
from tfadgm.evaluation import baselines, folds
from tfadgm.evaluation.classification import finish
from tfadgm.evaluation.folds import OURS, Folds, answer_folds, estimate, in_words, judged
from tfadgm.pipeline import format_report, run
from tfadgm.resolve import resolve
from tfadgm.run import Run
from tfadgm.training import supervised
from tfadgm.training.trainer import train, train_on_each

FEW = {"logistic regression": baselines.BASELINES["logistic regression"]}


@pytest.fixture
def config(toys, monkeypatch) -> Config:  # noqa: F811
    monkeypatch.setattr(folds, "estimate", estimate)  # which other tests do without
    monkeypatch.setattr(supervised, "STEPS", 20)
    monkeypatch.setattr(baselines, "BASELINES", FEW)
    return resolve(Config.for_dataset(**toys), stripes())


def test_every_label_is_judged_by_a_training_without_it(config, monkeypatch):
    """A label that is turned changes no answer to itself, and the answers of those who learn from it."""
    data = stripes()
    row = data.label_indices[0]
    y = data.y.copy()
    y[row] = 1 - y[row]
    monkeypatch.setattr(folds, "folds_of", lambda y, *_: np.arange(len(y)) % 2)
    before, after = answer_folds(config, data), answer_folds(config, data.replace(y=y))
    mates = np.arange(20) % 2 == 0  # of its own fold
    for name in (OURS, baselines.SUPERVISED, *FEW):
        found, told = before.probabilities[name], after.probabilities[name]
        np.testing.assert_array_equal(told[mates], found[mates])
        assert abs(told[~mates] - found[~mates]).max() > 1e-4
    assert set(before.others) == {baselines.SUPERVISED, *FEW}
    assert (before.y == data.y[data.label_indices]).all()


def test_a_model_begins_anew_with_each_fold(config, tmp_path):
    """The third training is the first again, and one alone is that of a run."""
    data = stripes()
    less = data.replace(y=np.where(np.arange(60) < 15, data.y, UNLABELED))
    config = config.replace(labeled_batch=15)
    found = [model.predict_on_batch(data.x) for model in train_on_each(config, [less, data, less])]
    np.testing.assert_array_equal(found[0], found[2])
    model, _ = train(config, data, tmp_path, verbose=0)
    trained = model.predict_on_batch(data.x)
    np.testing.assert_allclose(found[1], trained, atol=1e-6)
    (served,) = (model.predict_on_batch(data.x) for model in train_on_each(config, [less], model))
    np.testing.assert_allclose(served, found[0], atol=1e-6)
    np.testing.assert_array_equal(model.predict_on_batch(data.x), trained)
    with pytest.raises(TrainingError):
        next(train_on_each(config, [data.replace(x=data.x * np.nan)], model))
    np.testing.assert_array_equal(model.predict_on_batch(data.x), trained)


def test_a_class_with_one_label_keeps_it_and_is_not_judged(config):
    data = stripes()
    ones = data.label_indices[data.y[data.label_indices] == 1]
    few = without_labels(data, ones[1:])
    found = answer_folds(config, few)
    assert (found.y == 0).all()
    assert len(found.y) == len(data.label_indices) - len(ones)
    assert (found.probabilities[baselines.SUPERVISED][:, 1] > 0).all()
    told = estimate(config, without_labels(few, few.label_indices[few.y[few.label_indices] == 0][1:]), None)
    assert in_words(told).startswith("No estimate of the error. Expected two labels of a class")


def answered(ours: int, best: int) -> Folds:
    """40 labels of two classes, of which so many are missed: each method by others."""
    y = np.arange(40) % 2
    wrong = {OURS: np.arange(40) < ours, "support vectors": np.arange(40) >= 40 - best, "boosting": np.ones(40, bool)}
    return Folds(y, y, {name: np.eye(2)[np.where(missed, 1 - y, y)] for name, missed in wrong.items()})


@pytest.mark.parametrize(
    ("ours", "best", "words"),
    [
        (1, 12, "Worth it: the best of the simpler methods, support vectors, errs on about 27 %."),
        (4, 6, "No difference that so few labels show: support vectors errs on about 13 %."),
        (12, 1, "support vectors is better on your data, with about 2 %: use it, or add --use best."),
    ],
)
def test_a_comparison_is_told_in_words(ours, best, words):
    told = in_words(judged(answered(ours, best), np.array([0.5, 0.5])))
    assert told.splitlines()[1] == words
    assert told.startswith(f"Model: error about {100 * 0.8**0.5 * ours / 40:.0f} %, 95% interval")


def test_what_is_told_is_of_points_as_they_are_not_of_labels_as_they_were_chosen():
    """All mistakes are in a class that has a tenth of the points, and half of the labels."""
    y = np.arange(40) % 2
    found = Folds(y, y, {OURS: np.eye(2)[np.zeros(40, int)]})
    assert judged(found, np.array([0.9, 0.1]))["error"] == pytest.approx(10 * 0.8**0.5, abs=0.01)
    assert judged(found, np.array([0.5, 0.5]))["error"] == pytest.approx(50 * 0.8**0.5, abs=0.01)


def test_an_error_falls_with_the_root_of_the_number_of_labels():
    """A fifth of them is missing in each fold; the upper end, which is to be safe, does not fall."""
    told = judged(answered(8, 20), np.array([0.5, 0.5]))
    low, high = stats.binomtest(8, 40).proportion_ci()
    assert (told["low"], told["high"]) == pytest.approx((100 * 0.8**0.5 * low, 100 * high), abs=0.01)
    assert told["others"]["support vectors"] == pytest.approx(50 * 0.8**0.5, abs=0.01)


def test_the_best_of_many_has_been_chosen():
    """So it must be better by more than one method that was named beforehand; the model need not."""
    even = np.array([0.5, 0.5])
    alone, many = answered(8, 1), answered(8, 1)
    alone.probabilities.pop("boosting")
    assert judged(many, even)["p_value"] == pytest.approx(2 * judged(alone, even)["p_value"], abs=1e-3)
    alone, many = answered(1, 8), answered(1, 8)
    alone.probabilities.pop("boosting")
    assert judged(many, even)["p_value"] == judged(alone, even)["p_value"] < 0.05


def test_a_run_on_own_data_ends_with_it(config, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(folds, "answer_folds", lambda *_: answered(1, 12))
    for name in ("supervised_error", "error"):
        monkeypatch.setattr(baselines, name, lambda *_: 50.0)
    report = run(config.replace(epochs=1, use="model"), tmp_path / "run")
    assert "--no-estimate leaves them out" in capsys.readouterr().out
    assert 0 < report["estimate"]["error"] < 5
    assert finish(config.replace(estimate=False), stripes(), "the model") == (
        "the model",
        {"estimate": None, "used": None, "temperature": 1.0, "accepted": None},
    )


@pytest.mark.parametrize(
    ("use", "method"), [pytest.param("best", "support vectors", marks=pytest.mark.slow), ("pool", "pool")]
)
def test_a_model_may_learn_from_simpler_methods(config, tmp_path, monkeypatch, use, method):
    """It then says what they say of every point, and is still the model of the run, whose report tells of it."""
    monkeypatch.setattr(folds, "answer_folds", lambda *_: answered(20, 1))
    monkeypatch.setattr(baselines, "BASELINES", {"support vectors": ("svm.SVC", {"C": 10.0})})
    monkeypatch.setattr(supervised, "STEPS", 500)
    for name in ("supervised_error", "error"):
        monkeypatch.setattr(baselines, name, lambda *_: 50.0)
    report = run(config.replace(use=use, hidden_units=(16,), coverage=0.5), tmp_path / "run")
    assert report["used"]["method"] == method
    assert report["used"]["agreement"] > 90
    kept, data = Run(tmp_path / "run").load_model(), stripes()
    assert isinstance(kept, Softmax)
    assert report["test_error"] == pytest.approx(
        100 * np.mean(kept.predict(data.x_test, verbose=0).argmax(1) != data.y_test)
    )
    told = format_report(report)
    assert f" taught by {method}, 20 labels" in told
    assert ("Kept: support vectors, about" in told) == (use == "best")
    assert ("Model with what simpler methods say: error about" in told) == (use == "pool")
    rows = (tmp_path / "run" / "predictions.csv").read_text().splitlines()
    assert rows[0].endswith(",accepted")
    accepted = [float(row.split(",")[2]) for row in rows[1:] if row.endswith(",yes")]
    assert len(accepted) == pytest.approx(0.5 * len(rows[1:]), abs=1)
    assert min(accepted) == pytest.approx(report["accepted"]["threshold"], abs=1e-6)
    assert report["accepted"]["coverage"] == pytest.approx(0.5, abs=0.03)
    assert f"Accepted: {report['accepted']['coverage']:.0%} of the points without a label" in told


def test_no_method_is_kept_that_is_not_better():
    assert folds.better(judged(answered(1, 1), np.array([0.5, 0.5]))) is None
    assert folds.better(judged(answered(2, 1), np.array([0.5, 0.5]))) == "support vectors"


def test_the_best_needs_an_estimate(config):
    with pytest.raises(InputError, match="Expected an estimate of errors with --use best"):
        config.replace(use="best", estimate=False)
