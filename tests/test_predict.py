import csv

import numpy as np
import pytest
import tensorflow as tf

from tests.serving.conftest import run_here
from tfadgm import cli
from tfadgm.config import Config
from tfadgm.errors import InputError
from tfadgm.evaluation.likelihood import log_likelihood
from tfadgm.evaluation.predictions import HEAD
from tfadgm.pipeline import run
from tfadgm.predict import main, predict
from tfadgm.run import Run
from tfadgm.serving import verification
from tfadgm.serving.commands import export_run

pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions_eagerly`")
TINY = {"hidden_units": (8,), "latent_units": 2, "auxiliary_units": 2, "xla": False, "epochs": 2, "decay": 0.0}
RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module", autouse=True)
def eager():
    """A trace takes longer than a pass of such networks."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def rows_of(path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def write_table(path, rows=90):
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["age", "sex", "colour", "seen on", "ill"])
        for row in range(rows):
            ill = row % 2
            age = "" if row % 7 == 3 else f"{40 + 20 * ill + RANDOM.normal():.2f}"
            label = ("no", "yes")[ill] if row < 20 else ""
            writer.writerow([age, "fm"[row % 3 % 2], ("red", "blue", "")[row % 3], f"2024-01-{1 + row % 28:02}", label])


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    write_table(folder / "mine.csv")
    report = run(Config.for_dataset(str(folder / "mine.csv"), target="ill", **TINY), folder / "run")
    return folder, report


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    folder = tmp_path_factory.mktemp("arrays")
    x, y = RANDOM.normal(size=[80, 4]), np.full(80, -1)
    y[:6] = [0, 1, 2, 0, 1, 2]
    np.savez(folder / "mine.npz", x=x, y=y)
    run(Config.for_dataset(str(folder / "mine.npz"), **TINY), folder / "run")
    return folder, x


def test_a_training_labels_its_unlabeled_rows(table):
    folder, report = table
    rows = rows_of(folder / "run" / "predictions.csv")
    assert tuple(rows[0]) == HEAD
    assert [row["id"] for row in rows] == [str(number) for number in range(20, 90)]
    assert {row["label"] for row in rows} <= {"no", "yes"}
    for row in rows:
        first, second = float(row["probability"]), float(row["second_probability"])
        assert first >= second
        assert abs(first + second - 1) < 1e-5  # of two classes
        assert row["label"] != row["second"]
        assert 0 <= int(row["familiarity"]) <= 100
    assert report["temperature"] >= 1
    assert len(report["familiarity_quantiles"]) == 100


@pytest.mark.slow
def test_a_table_goes_on_as_if_it_had_not_stopped(table, tmp_path):
    folder, _ = table
    run(Config.for_dataset(str(folder / "mine.csv"), target="ill", **TINY | {"epochs": 1}), tmp_path / "run")
    run(Config.for_dataset(), tmp_path / "run", resume=True, changes={"epochs": 2})
    for one, other in zip(
        Run(tmp_path / "run").load_model().weights, Run(folder / "run").load_model().weights, strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert (tmp_path / "run" / "predictions.csv").read_text() == (folder / "run" / "predictions.csv").read_text()


def test_the_likelihood_of_a_table_is_estimated(table):
    """Gaps included: they are no numbers, and a row with more of them has another likelihood."""
    model = Run(table[0] / "run").load_model()
    rows = np.array([[50.0, 0.0, np.nan, np.nan], [50.0, np.nan, np.nan, np.nan], [np.nan] * 4])
    found = log_likelihood(model, rows, samples=20)["log_p"]
    assert np.isfinite(found).all()
    assert len(set(found)) == 3


@pytest.mark.parametrize("kind", ["table", pytest.param("arrays", marks=pytest.mark.slow)])
def test_new_rows_get_what_training_gave_them(kind, request, tmp_path):
    folder = request.getfixturevalue(kind)[0]
    source = folder / ("mine.csv" if kind == "table" else "mine.npz")
    main([str(folder / "run"), str(source), "--output", str(tmp_path / "out.csv")])
    found = {row["id"]: row for row in rows_of(tmp_path / "out.csv")}
    assert len(found) == (90 if kind == "table" else 80)
    for row in rows_of(folder / "run" / "predictions.csv"):
        assert found[row["id"]]["label"] == row["label"]
        assert abs(float(found[row["id"]]["probability"]) - float(row["probability"])) < 1e-5


@pytest.fixture(scope="module")
def version(table, tmp_path_factory):
    """The run of a table, exported and so verified."""
    tf.config.run_functions_eagerly(False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verification, "_run_side_by_side", run_here)
        path = export_run(table[0] / "run", tmp_path_factory.mktemp("models"), "mine", None, None)
    yield path
    tf.config.run_functions_eagerly(True)


def test_the_export_answers_the_same(table, version, tmp_path):
    folder, _ = table
    served = tf.saved_model.load(str(version)).signatures["serving_default"]
    with (folder / "mine.csv").open(newline="") as stream:
        raw = list(csv.DictReader(stream))
    inputs = {
        "age": tf.constant([float(row["age"] or "nan") for row in raw], tf.float64),
        **{name.replace(" ", "_"): tf.constant([row[name] for row in raw]) for name in ("sex", "colour", "seen on")},
    }
    answer = served(**inputs)
    predict(folder / "run", folder / "mine.csv", tmp_path / "out.csv")
    for row, label, shares in zip(
        rows_of(tmp_path / "out.csv"), answer["label_name"].numpy(), answer["probabilities"].numpy(), strict=True
    ):
        assert row["label"] == label.decode()
        assert abs(float(row["probability"]) - shares.max()) < 1e-5
    assert (version / verification.INFO).exists()


def test_the_keras_model_takes_raw_columns(table):
    folder, _ = table
    model = Run(folder / "run").load_model()
    raw = {"age": np.array([50.0, np.nan]), "sex": ["f", "m"], "colour": ["red", ""], "seen on": ["2024-01-05", ""]}
    found = model.predict({name: np.array(cells) for name, cells in raw.items()}, verbose=0)
    np.testing.assert_allclose(found, model({name: tf.constant(cells) for name, cells in raw.items()}), atol=1e-6)


def test_a_column_that_is_missing_leaves_no_file(table, tmp_path):
    folder, _ = table
    (tmp_path / "new.csv").write_text("age,sex\n40,f\n")
    with pytest.raises(InputError, match="Expected the columns of training in .* Received none called 'colour'"):
        predict(folder / "run", tmp_path / "new.csv", tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_rows_that_are_no_table_are_named(table, tmp_path):
    np.save(tmp_path / "other.npy", np.zeros([5, 3]))
    with pytest.raises(InputError, match="Expected a table like the data of training"):
        predict(table[0] / "run", tmp_path / "other.npy", tmp_path / "out.csv")


@pytest.mark.slow
def test_arrays_of_another_kind_are_named(table, arrays, tmp_path):
    np.save(tmp_path / "other.npy", np.zeros([5, 3]))
    with pytest.raises(InputError, match=r"Expected features of shape \(4,\)"):
        predict(arrays[0] / "run", tmp_path / "other.npy", tmp_path / "out.csv")
    with pytest.raises(InputError, match="Expected arrays"):
        predict(arrays[0] / "run", table[0] / "mine.csv", tmp_path / "out.csv")


@pytest.mark.slow
def test_arrays_in_every_form_are_labeled(arrays, tmp_path):
    from scipy import sparse

    folder, x = arrays
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", x_unlabeled=x)
    sparse.save_npz(tmp_path / "sparse.npz", sparse.csr_matrix(x))
    for name in ("x.npy", "x.npz", "sparse.npz"):
        assert predict(folder / "run", tmp_path / name, tmp_path / f"{name}.csv") == 80
    first, *others = (rows_of(tmp_path / f"{name}.csv") for name in ("x.npy", "x.npz", "sparse.npz"))
    assert all(other == first for other in others)


def test_the_command_is_one_of_tfadgms():
    assert cli.command("predict") is main
