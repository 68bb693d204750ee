"""What a search is of: its validation set, and when a folder holds the same one."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.tuner.helpers import flags
from tfadgm.errors import InputError
from tuner import __main__ as command
from tuner.keras_tuner_private import make_oracle
from tuner.space import table
from tuner.spec import SearchSpec, check_same, make_spec, open_folder

ROOT = Path(command.__file__).parents[1]


def spec_of(folder: Path, *given: object) -> SearchSpec:
    return make_spec(flags("--dataset", "moons", "--directory", folder, *given))


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
    with pytest.raises(InputError, match=r"Expected every label of y to be one of 2 classes .* Received: '0'"):
        make_spec(flags(*given))


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.full([2, 2], np.nan), ["upper", "lower"], "Expected finite numbers in x"),
        (np.zeros([0, 2]), [], "Expected x to hold numbers"),
        (np.array([["a", "b"]]), ["upper"], "Expected x to hold numbers"),
        (np.zeros([2, 3]), ["upper", "lower"], "features (2,), like the training points. Received: (3,)"),
        (np.zeros([2, 2, 1]), ["upper", "lower"], "features (2,), like the training points. Received: (2, 1)"),
        (np.zeros([1, 2]), ["left"], "Received: 'left'"),
        (np.zeros([1, 2]), [2], "Received: 2"),
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


@pytest.fixture
def table_and_folder(tmp_path) -> Path:
    (tmp_path / "own.csv").write_text("age,sex,ill\n40,f,yes\n,m,no\n61,m,\n50,f,\n")
    (tmp_path / "validation.csv").write_text("ill,sex,age\nno,f,33\nyes,,44\n")
    (tmp_path / "foreign.csv").write_text("ill,sex,age\nno,f,33\nperhaps,m,44\n,f,20\n")
    (tmp_path / "gap.csv").write_text("ill,sex,age\nno,f,33\n,m,44\n")
    (tmp_path / "short.csv").write_text("sex,ill\nf,no\n")
    picture = tf.io.encode_png(np.zeros([8, 8, 1], np.uint8)).numpy()
    for name in ("images/cat/1", "images/dog/2", "images/unlabeled/3", "more/dog/4", "more/cat/5", "loose/6"):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture)
    return tmp_path


def by_validation(folder: Path, dataset: str, validation: str, *more: str) -> SearchSpec:
    given = ["--dataset", f"{folder}/{dataset}", "--objective", "val_error", "--validation", folder / validation]
    return make_spec(flags(*given, *more))


def test_a_validation_set_is_a_file_like_the_data(table_and_folder):
    x, y = by_validation(table_and_folder, "own.csv", "validation.csv", "--target", "ill").scorer.validation
    np.testing.assert_array_equal(x, [[33, 0], [44, np.nan]])
    assert y.tolist() == [0, 1]
    x, y = by_validation(table_and_folder, "images/", "more").scorer.validation
    assert (x.shape, y.tolist()) == ((2, 8, 8, 1), [0, 1])


@pytest.mark.parametrize(
    ("dataset", "validation", "message"),
    [
        ("own.csv", "foreign.csv", "Received: 'perhaps'"),
        ("own.csv", "gap.csv", "Expected a label in every row. Received none in row 1"),
        ("own.csv", "short.csv", "Received none called 'age'"),
        ("own.csv", "own.npz", "Expected a table where the data are one"),
        ("images/", "validation.csv", "Expected a table where the data are one"),
        ("images/", "loose", "Received: '6.png'"),
    ],
)
def test_a_file_unlike_the_data_cannot_judge(table_and_folder, dataset, validation, message):
    target = ["--target", "ill"] if dataset == "own.csv" else []
    with pytest.raises(InputError) as error:
        by_validation(table_and_folder, dataset, validation, *target)
    assert message in str(error.value)
