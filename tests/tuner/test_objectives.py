"""What a search may see, and how it divides it."""

import dataclasses

import numpy as np
import pytest

from tests.tuner.helpers import eagerly, flags
from tfadgm.config import Config
from tfadgm.data.dataset import UNLABELED, Dataset
from tfadgm.data.labels import folds_of
from tfadgm.data.toy import digits
from tfadgm.errors import InputError, TrainingError
from tfadgm.evaluation.classification import mean_elbo
from tuner import objectives
from tuner.objectives import CLASSES, TrialScorer, disagreement
from tuner.spec import make_spec

TINY = {
    "hidden_units": (8,),
    "latent_units": 2,
    "auxiliary_units": 2,
    "epochs": 1,
    "unlabeled_batch": 60,
    "xla": False,
}


@pytest.mark.parametrize("counts", [[5, 5, 5], [2, 9, 4], [10, 10]])
@pytest.mark.parametrize("seed", [0, 1])
def test_folds_are_even_and_leave_every_class_a_label(counts, seed):
    y = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)) * 3, counts))
    fold = folds_of(y, 5, seed)
    sizes = np.bincount(fold)
    assert len(sizes) == 5
    assert sizes.max() - sizes.min() <= 1
    for number in range(len(sizes)):
        assert set(y[fold != number]) == set(y)
        per_class = [np.sum(y[fold == number] == c) for c in set(y)]
        assert all(abs(found - np.sum(y == c) / len(sizes)) < 1 for found, c in zip(per_class, set(y), strict=True))


def test_seeds_make_other_folds():
    y = np.repeat([0, 1], 10)
    assert (folds_of(y, 5, 0) == folds_of(y, 5, 0)).all()
    assert (folds_of(y, 5, 0) != folds_of(y, 5, 1)).any()


def test_a_class_with_one_label_cannot_be_cross_validated():
    with pytest.raises(InputError, match="Expected at least two labels of every class"):
        folds_of(np.array([0, 0, 1]), 5, 0)


def test_a_search_sees_no_label_but_the_users_and_no_test_point():
    data, seen = digits(), make_spec(flags("--labels", 50)).scorer.dataset
    assert len(seen.x_test) == len(seen.y_test) == 0
    assert len(seen.label_indices) == 50
    np.testing.assert_array_equal(seen.y[seen.label_indices], data.y[seen.label_indices])


def test_disagreement_counts_pairs_of_trainings_and_missed_labels():
    generator = np.random.default_rng(0)
    trainings, y = generator.integers(0, 3, [4, 50]), np.full(50, UNLABELED)
    y[[3, 8]] = 0, 2
    pairs = [(i, j) for i in range(4) for j in range(i)]
    apart = sum(trainings[i][n] != trainings[j][n] for i, j in pairs for n in range(50)) / (len(pairs) * 50)
    wrong = sum(row[n] != y[n] for row in trainings for n in (3, 8)) / 8
    assert disagreement(trainings, y) == pytest.approx(100 * (apart + wrong))


def test_classes_that_collapse_disagree_with_the_labels():
    collapsed, unsure = np.zeros([2, 10], int), np.array([[0] * 5 + [1] * 5, [0] * 4 + [1] * 6])
    y = np.array([0] + [UNLABELED] * 8 + [1])
    assert disagreement(unsure, y) == pytest.approx(10)
    assert disagreement(collapsed, y) == pytest.approx(50)


def toy() -> Dataset:
    """Sixty points in one step of an epoch, six of them labeled."""
    x = np.random.default_rng(0).normal(size=[60, 2]).astype(np.float32)
    y = np.concatenate([[0, 0, 0, 1, 1, 1], np.full(54, UNLABELED)])
    return Dataset(x, y, x[:0], y[:0], ("upper", "lower"), "gaussian")


def scorer(objective: str, **options) -> TrialScorer:
    return TrialScorer(Config.for_dataset("moons", labels=None, **TINY), toy(), objective, **options)


def test_every_fold_is_judged_by_a_model_that_has_not_seen_it(tmp_path, monkeypatch):
    """A classifier that knows its training labels by heart and nothing else is always wrong on the others."""
    seen, alphas = [], []

    def by_heart(config, dataset, folder, resume, verbose):
        seen.append(dataset.label_indices)
        alphas.append(config.alpha)
        return Memory(dataset), None

    class Memory:
        classes = 2

        def __init__(self, dataset):
            self.known = {dataset.x[label].tobytes(): dataset.y[label] for label in dataset.label_indices}

        def predict_on_batch(self, x):
            known = [self.known.get(row.tobytes()) for row in x]
            return np.array([[0.5, 0.5] if label is None else np.eye(2)[label] for label in known])

    monkeypatch.setattr(objectives, "mean_elbo", lambda model, x: -3.0)
    monkeypatch.setattr(objectives, "train", by_heart)
    scores = scorer("combined", folds=5)({"alpha_scale": 2.0}, tmp_path)
    assert len(seen) == 3  # as many folds as a class has labels
    assert sorted(np.concatenate([sorted(set(range(6)) - set(labels)) for labels in seen])) == list(range(6))
    assert scores["cv_nll"] == pytest.approx(np.log(2))
    assert scores["bound"] == 3.0
    assert scores["combined"] == pytest.approx(3.0 + 0.1 * 60 / 6 * np.log(2))
    assert alphas == pytest.approx([2.0 * 0.1 * 60 / 4] * 3)  # of the labels that train


@pytest.mark.parametrize("elbo", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_a_divergence(tmp_path, monkeypatch, elbo):
    class Lost:
        def predict_on_batch(self, x):
            return np.full([len(x), 2], 0.5)

    monkeypatch.setattr(objectives, "train", lambda *arguments, **options: (Lost(), None))
    monkeypatch.setattr(objectives, "mean_elbo", lambda model, x: elbo)
    with pytest.raises(TrainingError, match="Expected finite scores"):
        scorer("bound")({}, tmp_path)


def test_the_seed_of_a_search_chooses_its_folds():
    """Labels may be given, as in an .npz file."""
    one = scorer("cv_error")
    other = dataclasses.replace(one, base=one.base.replace(seed=1))
    held_out = [[fold.held_out.tolist() for fold in found.trainings(0)] for found in (one, other)]
    assert held_out[0] != held_out[1]


@pytest.mark.slow
def test_objectives_of_a_real_training(tmp_path, monkeypatch):
    elbos = []

    def measured(model, x):
        elbos.append(mean_elbo(model, x))
        return elbos[-1]

    monkeypatch.setattr(objectives, "mean_elbo", measured)
    points = toy()
    two = scorer("disagreement", validation=(points.x[:9], np.zeros(9, int)))
    with eagerly():
        found = two({"learning_rate": 1e-3}, tmp_path, seed=1)
    trainings = [np.load(tmp_path / name / CLASSES) for name in ("seed0", "seed1")]
    assert set(found) == {"bound", "disagreement", "val_error"}
    assert found["bound"] == pytest.approx(-np.mean(elbos))
    assert found["disagreement"] == disagreement(trainings, points.y)
    assert found["val_error"] == pytest.approx(100 * np.mean([classes[:9] != 0 for classes in trainings]))
    assert (trainings[0] != trainings[1]).any()
    assert all(classes.shape == (60,) and set(classes) <= {0, 1} for classes in trainings)
    assert [fold.seed for seed in range(3) for fold in two.trainings(seed)] == list(range(6))
