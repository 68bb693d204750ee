import pickle
import unittest

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from tfadgm import DGMClassifier
from tfadgm.errors import InputError
from tfadgm.training import trainer

SMALL = {"hidden_units": [8], "latent_units": 2, "auxiliary_units": 2, "xla": False}
M2 = {name: SMALL[name] for name in SMALL if name != "auxiliary_units"}
# Checks of scikit-learn that do not hold, each with the reason.
EXPECTED = {
    "check_classifiers_classes": "-1 stands for no label, as in sklearn.semi_supervised, and is no class",
    "check_methods_sample_order_invariance": "float32 sums in another order differ in the seventh digit",
    "check_classifiers_train": "asks for an accuracy that two epochs of a tiny network do not reach",
}


def blobs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, y = make_blobs(120, centers=[[-4, 0], [4, 0], [0, 6]], random_state=0)
    few = np.full(120, -1)
    for index in range(3):
        few[np.flatnonzero(y == index)[:3]] = index
    return x, y, few


@pytest.fixture(scope="module")
def fitted():
    x, y, few = blobs()
    options = {**M2, "hidden_units": [32], "learning_rate": 0.02, "total_count": 1}
    return DGMClassifier(model="m2", epochs=100, options=options).fit(x, few), x, y, few


def test_labels_for_the_rows_that_had_none(fitted):
    classifier, x, y, few = fitted
    assert classifier.classes_.tolist() == [0, 1, 2]
    assert classifier.score(x, y) > 0.9
    np.testing.assert_array_equal(classifier.transduction_[few >= 0], few[few >= 0])
    np.testing.assert_array_equal(classifier.transduction_[few < 0], classifier.predict(x)[few < 0])
    np.testing.assert_allclose(classifier.predict_proba(x).sum(1), 1, rtol=1e-5)
    assert classifier.transform(x).shape == (120, 2)


def test_it_pickles_and_clones(fitted):
    classifier, x, _, _ = fitted
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.predict_proba(x), classifier.predict_proba(x))
    assert clone(classifier).get_params() == classifier.get_params()


@pytest.mark.slow
@pytest.mark.parametrize("marks", [np.nan, None])
def test_text_labels_with_gaps(marks):
    x, y, few = blobs()
    names = np.array(["red", "green", "blue"], object)[y]
    names[few < 0] = marks
    classifier = DGMClassifier(model="m2", epochs=1, options=M2).fit(x, names)
    assert classifier.classes_.tolist() == ["blue", "green", "red"]
    assert set(classifier.predict(x)) <= {"blue", "green", "red"}


def test_a_frame_of_mixed_columns():
    x, _, few = blobs()
    frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "side": np.where(x[:, 0] > 0, "right", "left")})
    frame.loc[::7, "a"] = np.nan
    classifier = DGMClassifier(model="m2", epochs=1, options=M2)
    classifier.fit(frame, few)
    assert classifier.feature_names_in_.tolist() == ["a", "b", "side"]
    assert classifier.predict(frame).shape == (120,)
    assert classifier.transform(frame).shape == (120, 2)
    with pytest.raises(ValueError, match="feature names"):
        classifier.predict(frame.rename(columns={"a": "c"}))
    with pytest.raises(InputError, match="Expected a DataFrame, as in fit"):
        classifier.predict(x)


@pytest.mark.slow
def test_it_works_within_scikit_learn():
    x, y, _ = blobs()
    pipeline = make_pipeline(StandardScaler(), DGMClassifier(epochs=1, options=SMALL))
    assert cross_val_score(pipeline, x, y, cv=2).shape == (2,)
    search = GridSearchCV(DGMClassifier(epochs=1, options=SMALL), {"likelihood": ["auto", "gaussian"]}, cv=2)
    assert search.fit(x, y).best_params_["likelihood"] in ("auto", "gaussian")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "vae"}, "Expected a model that learns from labels"),
        ({"options": {"hiden": 3}}, "Expected a field of the configuration. Received: hiden"),
        ({"epochs": 0}, "Expected epochs to be 1 or more"),
    ],
)
def test_bad_parameters_are_named(options, message):
    x, _, few = blobs()
    with pytest.raises(InputError, match=message):
        DGMClassifier(**options).fit(x, few)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_own_checks(monkeypatch):
    """All but those in EXPECTED; eagerly, because each of the many small fits would be traced anew."""
    failed = {}
    monkeypatch.setattr(trainer, "epochs_at_once", lambda *_: 1)
    tf.config.run_functions_eagerly(True)
    for estimator, check in estimator_checks_generator(DGMClassifier(epochs=2, options=SMALL)):
        name = check.func.__name__
        try:
            check(estimator)
        except unittest.SkipTest:
            continue
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {str(error)[:300]}"
    tf.config.run_functions_eagerly(False)
    assert failed.keys() == EXPECTED.keys(), failed
