"""Pictures and numbers of the paper, from tiny runs; the 2D distributions have a file of their own."""

import dataclasses
import json
import shutil
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf

from tfadgm.cli import exit_status
from tfadgm.config import Config
from tfadgm.data.labels import choose_labels
from tfadgm.data.sources import SOURCES
from tfadgm.data.toy import digits
from tfadgm.errors import InputError
from tfadgm.reproduce import __main__ as script
from tfadgm.reproduce import common, fig1bd, fig2, samples, table2
from tfadgm.reproduce.common import principal_components, trained, unseen_training_error
from tfadgm.reproduce.fig1bd import separation
from tfadgm.run import Run

pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions_eagerly`")
TINY = {
    "epochs": 1,
    "hidden_units": (8,),
    "latent_units": 2,
    "auxiliary_units": 3,
    "unlabeled_batch": 400,
    "vat_epsilon": 0.0,
    "xla": False,
}
TINY_VAE = {name: value for name, value in TINY.items() if name not in ("auxiliary_units", "vat_epsilon")}


def files(name: str) -> set[str]:
    return {f"{name}.png", f"{name}.pdf", f"{name}.json"}


def test_principal_components_have_the_variance_of_their_directions():
    generator = np.random.default_rng(0)
    basis = np.linalg.qr(generator.normal(size=[4, 4]))[0]
    points = 5 + (generator.normal(size=[20_000, 4]) * [3, 2, 1, 0]) @ basis.T
    coordinates, shares = principal_components(points)
    np.testing.assert_allclose(coordinates.var(0), [9, 4], rtol=0.05)
    np.testing.assert_allclose(shares, [9 / 14, 4 / 14], atol=0.01)


def test_separation_counts_deviations_within_classes():
    generator = np.random.default_rng(0)
    y = generator.integers(0, 2, 20_000)
    points = generator.normal(size=[20_000, 2]) * [2, 7] + np.stack([6 * y, 0 * y], 1)
    assert separation(points, y) == pytest.approx(3, rel=0.05)


@pytest.fixture
def few_digits(monkeypatch) -> None:
    """In the place of MNIST."""
    whole = digits()
    few = dataclasses.replace(
        whole, x=whole.x[:400], y=whole.y[:400], x_test=whole.x_test[:200], y_test=whole.y_test[:200]
    )
    monkeypatch.setitem(SOURCES, "mnist", lambda data_dir, seed: few)


@pytest.fixture
def quick(monkeypatch) -> Iterator[None]:
    """Runs that are not compiled, without pictures, baselines and a bound of their own: other tests are about those."""
    monkeypatch.setattr("tfadgm.pipeline._draw", lambda *_: None)
    monkeypatch.setattr("tfadgm.evaluation.classification.mean_elbo", lambda *_: -1.0)
    for name in ("REPORT_SAMPLES", "WATCHED_SAMPLES"):
        monkeypatch.setattr(f"tfadgm.evaluation.density.{name}", 2)
    monkeypatch.setattr(table2, "count_flops", lambda *_: 10**12)
    monkeypatch.setattr(common, "DOTS_AN_INCH", 20)
    savefig = common.plt.savefig  # the test of figure 1a draws a PDF
    monkeypatch.setattr(
        common.plt, "savefig", lambda path, **dpi: path.touch() if path.suffix == ".pdf" else savefig(path, **dpi)
    )
    for name in ("supervised_error", "error"):
        monkeypatch.setattr(f"tfadgm.evaluation.baselines.{name}", lambda *_: 50.0)
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.slow
def test_the_moons_come_with_their_numbers(tmp_path, quick):
    numbers = fig1bd.reproduce(tmp_path, **{**TINY, "unlabeled_batch": 5000})
    assert {path.name for path in tmp_path.iterdir()} == files("fig1bd") | {"moons"}
    assert json.loads((tmp_path / "fig1bd.json").read_text()) == numbers
    assert len(numbers["labeled_points"]) == 6
    assert 0 < numbers["test_error"] < 100


@pytest.mark.slow
def test_the_auxiliary_space_and_samples_share_a_run(tmp_path, few_digits, quick, monkeypatch):
    numbers = fig2.reproduce(tmp_path, **TINY)
    before = (tmp_path / "mnist" / "report.json").stat().st_mtime_ns
    monkeypatch.setattr(samples, "EACH", 2)
    monkeypatch.setattr(samples, "class_probabilities", lambda _, x: np.eye(10)[np.zeros(len(x), int)])
    found = samples.reproduce(tmp_path)
    assert (tmp_path / "mnist" / "report.json").stat().st_mtime_ns == before
    assert {path.name for path in tmp_path.iterdir()} == files("fig2") | files("samples") | {"mnist"}
    assert sum(numbers["variance_of_a_along_its_components"]) <= 1
    assert len(numbers["medians"]) == 10
    assert 0 < numbers["unseen_training_error"] <= 100
    assert found["agreement_on_samples"] == found["agreement_on_analogies"] == 0.1  # each class as often


def test_the_unseen_training_error_is_that_of_points_whose_label_training_did_not_see(monkeypatch):
    whole = digits()
    seen = choose_labels(whole, 50, seed=3)
    known = {point.tobytes(): label for point, label in zip(whole.x, whole.y, strict=True)}
    labeled = {point.tobytes() for point in seen.x[seen.label_indices]}

    def leaking(model, x):
        """Right on what training saw, and on 300 further points."""
        assert not labeled & {point.tobytes() for point in x}
        right = np.array([known[point.tobytes()] for point in x])
        return np.eye(10)[np.where(np.arange(len(x)) < 300, right, (right + 1) % 10)]

    monkeypatch.setattr(common, "class_probabilities", leaking)
    run = Run.__new__(Run)
    monkeypatch.setattr(Run, "config", Config.for_dataset("digits", seed=3))
    monkeypatch.setattr(Run, "load_dataset", lambda self: seen)
    monkeypatch.setattr(Run, "load_model", lambda self: None)
    assert unseen_training_error(run) == pytest.approx(100 * (1257 - 50 - 300) / (1257 - 50))
    monkeypatch.setattr(Run, "load_dataset", lambda self: whole)
    assert unseen_training_error(run) is None  # training saw every label


@pytest.mark.slow
def test_the_table_is_made_a_row_at_a_time(tmp_path, few_digits, quick, monkeypatch):
    monkeypatch.setattr(table2, "SAMPLES", 20)
    tiny = {**TINY_VAE, "epochs": 2}
    table2.reproduce(tmp_path, ["vae-2"], **tiny)
    monkeypatch.setattr(common.plt, "savefig", lambda path, **_: path.touch())  # drawn often enough
    result = table2.reproduce(tmp_path, ["vae"], **tiny)
    assert {path.name for path in tmp_path.iterdir()} == files("table2") | {"table2.md", "table2"}
    assert list(result["rows"]) == ["vae", "vae-2"]
    row = result["rows"]["vae-2"]
    assert (row["stochastic_layers"], row["epochs"], row["samples"], row["published"]) == (2, 2, 20, "-85.33")
    assert len(row["curve"]) == 2
    shutil.rmtree(tmp_path / "table2" / "vae-2")  # as on another machine, where the table has come along
    assert table2.reproduce(tmp_path, ["vae"], **tiny) == result
    with pytest.raises(InputError, match="Expected the run of .*epochs=3"):
        table2.reproduce(tmp_path, ["vae"], **{**TINY_VAE, "epochs": 3})
    assert f"| VAE | 2 | 1 | 2 | {row['minutes']} |" in (tmp_path / "table2.md").read_text()
    assert table2.reproduce(tmp_path, [], **{**tiny, "latent_units": 3})["rows"] == {}  # those are of another choice


def test_a_run_of_something_else_is_refused(tmp_path):
    (tmp_path / "report.json").write_text("{}")
    (tmp_path / "config.json").write_text(Config.for_dataset("digits").to_json())
    with pytest.raises(InputError, match="Expected a run of sdgm on mnist. Received .*, of sdgm on digits"):
        trained(Config.for_dataset("mnist"), tmp_path)
    (tmp_path / "report.json").unlink()  # one that was stopped keeps what it is
    with pytest.raises(InputError, match="Expected a run of sdgm on mnist"):
        trained(Config.for_dataset("mnist"), tmp_path)
    assert Run(tmp_path).config.dataset == "digits"


def test_a_run_killed_before_its_first_epoch_goes_on(tmp_path, few_digits, quick):
    config = Config.for_dataset("mnist", model="vae", **TINY_VAE)
    (tmp_path / "config.json").write_text(config.to_json())
    assert trained(config, tmp_path)[2]["epochs"] == 1


def fails(capsys, *flags: str) -> str:
    """The line on standard error of a command that ends with status 2."""
    assert exit_status("tfadgm.reproduce", lambda: script.main(flags)) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    return line.removeprefix("tfadgm.reproduce: ")


def test_a_folder_that_is_none_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert fails(capsys, "fig2", "--run-dir", str(tmp_path)).startswith("Expected the folder of a run. Received ")
    assert fails(capsys, "fig1a", "--output", str(tmp_path / "file")).startswith("Expected to write to ")


def test_an_unknown_name_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["reproduce", "fig9"])
    assert exit_status("tfadgm.reproduce", script.main) == 2
    assert capsys.readouterr().err.startswith("tfadgm.reproduce: Expected flags as in --help. Received: argument name")


@pytest.mark.parametrize(
    ("name", "flag"), [("table2", ["--run-dir", "x"]), ("fig2", ["--rows", "vae"]), ("samples", ["--seeds", "2"])]
)
def test_a_flag_of_another_name_is_one_line(tmp_path, capsys, name, flag):
    assert fails(capsys, name, *flag, "--output", str(tmp_path / "new")).startswith(f"Expected {flag[0]} with ")
    assert not (tmp_path / "new").exists()


def test_no_seeds_are_one_line(tmp_path, capsys):
    line = fails(capsys, "fig1a", "--seeds", "0", "--output", str(tmp_path / "new"))
    assert line == "Expected --seeds to be 1 or more. Received: 0\n"
    assert not (tmp_path / "new").exists()
