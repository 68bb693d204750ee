"""What a search may see, and how it divides it."""

import dataclasses

import numpy as np
import pytest

from tfadgm.config import Config
from tfadgm.data.sources import UNKNOWN, digits, moons
from tfadgm.data.split import choose_labels
from tfadgm.errors import InputError, TrainingError
from tuner import objectives
from tuner.objectives import CLASSES, Judge, disagreement, folds_of, with_labels_only

TINY = {
    "hidden_units": (8,),
    "latent_units": 2,
    "auxiliary_units": 2,
    "epochs": 1,
    "unlabeled_batch": 5003,
    "xla": False,
}


@pytest.mark.parametrize("counts", [[5, 5, 5], [2, 9, 4], [10, 10]])
@pytest.mark.parametrize("seed", [0, 1])
def test_folds_are_even_and_leave_every_class_a_label(counts, seed):
    y = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)) * 3, counts))
    fold = folds_of(y, 5, seed)
    sizes = np.bincount(fold)
    assert len(sizes) == min(5, *counts)
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
    data = digits()
    labels = choose_labels(data.y, data.class_names, 50, 0)
    seen = with_labels_only(data, labels)
    assert len(seen.x_test) == len(seen.y_test) == 0
    assert (seen.y != UNKNOWN).sum() == 50
    np.testing.assert_array_equal(seen.y[labels], data.y[labels])


def test_disagreement_counts_pairs_of_trainings_and_missed_labels():
    generator = np.random.default_rng(0)
    trainings, y = generator.integers(0, 3, [4, 50]), np.full(50, UNKNOWN)
    y[[3, 8]] = 0, 2
    pairs = [(i, j) for i in range(4) for j in range(i)]
    apart = sum(trainings[i][n] != trainings[j][n] for i, j in pairs for n in range(50)) / (len(pairs) * 50)
    wrong = sum(row[n] != y[n] for row in trainings for n in (3, 8)) / 8
    assert disagreement(trainings, y) == pytest.approx(100 * (apart + wrong))


def test_classes_that_collapse_disagree_with_the_labels():
    collapsed, unsure = np.zeros([2, 10], int), np.array([[0] * 5 + [1] * 5, [0] * 4 + [1] * 6])
    y = np.array([0] + [UNKNOWN] * 8 + [1])
    assert disagreement(unsure, y) == pytest.approx(10)
    assert disagreement(collapsed, y) == pytest.approx(50)


def judge(objective: str, **options) -> Judge:
    config = Config.for_dataset("moons", **TINY)
    data = moons(0)
    labels = choose_labels(data.y, data.class_names, None, 0)
    return Judge(config, with_labels_only(data, labels), labels, objective, **options)


def test_every_fold_is_judged_by_a_model_that_has_not_seen_it(tmp_path, monkeypatch):
    """A classifier that knows its training labels by heart and nothing else is always wrong on the others."""
    seen = []

    def by_heart(config, dataset, labels, folder, resume, verbose):
        seen.append(labels)
        return Memory(dataset, labels), None

    class Memory:
        classes, binarize, dequantize = 2, False, False

        def __init__(self, dataset, labels):
            self.known = {dataset.x[label].tobytes(): dataset.y[label] for label in labels}

        def predict_on_batch(self, x):
            known = [self.known.get(row.tobytes()) for row in x]
            return np.array([[0.5, 0.5] if label is None else np.eye(2)[label] for label in known])

        def log_likelihood_bound(self, x):
            return np.full(len(x), -3.0)

    monkeypatch.setattr(objectives, "train", by_heart)
    scores = judge("combined", folds=5)({"alpha_scale": 2.0}, tmp_path)
    assert len(seen) == 3  # as many folds as a class has labels
    assert sorted(np.concatenate([sorted(set(range(6)) - set(labels)) for labels in seen])) == list(range(6))
    assert scores["cv_nll"] == pytest.approx(np.log(2))
    assert scores["bound"] == 3.0
    assert scores["combined"] == pytest.approx(3.0 + 0.1 * 10_006 / 6 * np.log(2))


def test_scores_that_are_not_finite_are_a_divergence(tmp_path, monkeypatch):
    class Lost:
        binarize, dequantize = False, False

        def predict_on_batch(self, x):
            return np.full([len(x), 2], np.nan)

        def log_likelihood_bound(self, x):
            return np.full(len(x), np.nan)

    monkeypatch.setattr(objectives, "train", lambda *arguments, **options: (Lost(), None))
    with pytest.raises(TrainingError, match="Expected finite scores"):
        judge("bound")({}, tmp_path)


def test_the_seed_of_a_search_chooses_its_folds():
    """Labels may be given, as in an .npz file."""
    one = judge("cv_error")
    other = dataclasses.replace(one, base=dataclasses.replace(one.base, seed=1))
    parts = [[part.held_out.tolist() for part in found._parts(0)] for found in (one, other)]
    assert parts[0] != parts[1]


def test_objectives_of_a_real_training(tmp_path):
    two, data = judge("disagreement"), moons(0)
    found = two({"learning_rate": 1e-3}, tmp_path, seed=1)
    trainings = [np.load(tmp_path / name / CLASSES) for name in ("seed0", "seed1")]
    assert set(found) == {"bound", "disagreement"}
    assert found["disagreement"] == disagreement(trainings, two.dataset.y)
    assert (trainings[0] != trainings[1]).any()
    assert all(classes.shape == (len(data.x),) and set(classes) <= {0, 1} for classes in trainings)
    assert [part.seed for seed in range(3) for part in two._parts(seed)] == list(range(6))
    found = judge("val_error", validation=(data.x_test, data.y_test))({}, tmp_path / "other")
    assert set(found) == {"bound", "val_error"}
    assert 0 <= found["val_error"] <= 100
