import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tfadgm import training
from tfadgm.checkpoint import Progress, restore_checkpoint, save_checkpoint
from tfadgm.config import Config
from tfadgm.data.sources import digits
from tfadgm.data.split import choose_labels
from tfadgm.errors import InputError, TrainingError
from tfadgm.runs import resumed_config, run, with_epochs
from tfadgm.training import averaged_weights, build_model, train

TINY = {
    "labels": 20,
    "epochs": 4,
    "hidden_units": (8,),
    "latent_units": 2,
    "auxiliary_units": 2,
    "xla": False,  # compiling takes longer than these trainings
}


@pytest.fixture(scope="module")
def dataset():
    whole = digits()
    return dataclasses.replace(
        whole, x=whole.x[:250], y=whole.y[:250], x_test=whole.x_test[:50], y_test=whole.y_test[:50]
    )


def fit(config, dataset, folder, resume=False):
    indices = choose_labels(dataset.y, dataset.class_names, config.labels, config.seed)
    return train(config, dataset, indices, folder, resume)


def weights(model) -> list[np.ndarray]:
    return [weight.numpy() for weight in model.weights]


def assert_same(left, right):
    for a, b in zip(left, right, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("model", "marginalization", "choices"),
    [
        ("adgm", "exact", {"decay": 0.5}),
        pytest.param("sdgm", "rao_blackwellised", {"xla": True}, marks=pytest.mark.slow),
        ("m2", "rao_blackwellised", {}),
    ],
)
def test_a_resumed_run_ends_where_the_uninterrupted_one_ends(
    tmp_path, dataset, monkeypatch, model, marginalization, choices
):
    monkeypatch.setattr(training, "SAVE_EVERY", 0.0)
    config = Config.for_dataset("digits", model=model, marginalization=marginalization, **{**TINY, **choices})
    whole, _ = fit(config, dataset, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "parts")
    shutil.rmtree(tmp_path / "parts" / "checkpoint" / "00004")  # that of epoch 3 is left
    (
        tmp_path / "parts" / "checkpoint" / "partial"
    ).mkdir()  # what a kill leaves that comes while a checkpoint is written
    resumed, progress = fit(config, dataset, tmp_path / "parts", resume=True)
    assert_same(weights(whole), weights(resumed))
    assert_same(*([v.numpy() for v in m.optimizer.variables] for m in (whole, resumed)))
    assert [row["epoch"] for row in progress.history] == [1, 2, 3, 4]
    columns = [(tmp_path / name / "metrics.csv").read_text().splitlines()[0] for name in ("whole", "parts")]
    assert columns[0] == columns[1]


@pytest.mark.parametrize(("seconds", "kept"), [(0.0, ["00003", "00004"]), (1e9, ["00000", "00004"])])
def test_a_checkpoint_is_saved_when_it_is_time_and_at_the_end(tmp_path, dataset, monkeypatch, seconds, kept):
    monkeypatch.setattr(training, "SAVE_EVERY", seconds)
    fit(Config.for_dataset("digits", **TINY), dataset, tmp_path)
    assert sorted(path.name for path in (tmp_path / "checkpoint").iterdir()) == kept
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 5


def test_the_step_size_holds_and_then_falls_to_zero():
    constant = Config(epochs=10, learning_rate=0.5)
    assert training.learning_rate(constant, 100) == 0.5
    decaying = training.learning_rate(dataclasses.replace(constant, decay=0.4), 100)
    sizes = [float(decaying(step)) for step in (0, 300, 600, 800, 1000)]
    np.testing.assert_allclose(sizes, [0.5, 0.5, 0.5, 0.25, 0.0], atol=1e-6)
    assert float(training.learning_rate(dataclasses.replace(constant, decay=1.0), 100)(500)) == pytest.approx(0.25)


def test_only_a_run_with_a_state_of_constant_step_size_can_be_lengthened(tmp_path):
    for decay in (0.0, 0.5):
        (tmp_path / "config.json").write_text(Config(epochs=4, decay=decay).to_json())
        if decay:
            with pytest.raises(InputError, match=r"Expected epochs=4 as in .* to resume. Received: epochs=9"):
                resumed_config(tmp_path, {"epochs": 9})
            (tmp_path / "checkpoint" / "constant").mkdir(parents=True)
        assert resumed_config(tmp_path, {"epochs": 9}).epochs == 9


def test_a_run_whose_step_size_falls_can_be_lengthened(tmp_path, dataset, monkeypatch):
    """It goes on from where the step size fell, as if it had been as long from the start; also if it is killed."""
    monkeypatch.setattr(training, "SAVE_EVERY", 0.0)
    config = Config.for_dataset("digits", **{**TINY, "decay": 0.5})
    longer = dataclasses.replace(config, epochs=6)
    whole, _ = fit(longer, dataset, tmp_path / "whole")
    fit(config, dataset, tmp_path / "parts")
    with pytest.raises(InputError, match="Received one of another run"):
        fit(dataclasses.replace(longer, seed=1), dataset, tmp_path / "parts", resume=True)
    for _ in range(2):
        resumed, progress = fit(longer, dataset, tmp_path / "parts", resume=True)
        assert_same(weights(whole), weights(resumed))
        assert_same(*([v.numpy() for v in m.optimizer.variables] for m in (whole, resumed)))
        assert [row["epoch"] for row in progress.history] == [1, 2, 3, 4, 5, 6]
        for path in (tmp_path / "parts" / "checkpoint").glob("[0-9]*"):  # a kill that comes when these are dropped
            shutil.rmtree(path)


def test_a_run_killed_between_its_two_checkpoints_goes_on(tmp_path, dataset, monkeypatch):
    """It comes a second time to the end of its constant step size, whose checkpoint is there."""
    monkeypatch.setattr(training, "SAVE_EVERY", 1e9)
    config = Config.for_dataset("digits", **{**TINY, "model": "m2", "decay": 0.5})
    whole, _ = fit(config, dataset, tmp_path)
    assert (tmp_path / "checkpoint" / "constant" / "00002" / "state.json").exists()
    shutil.rmtree(tmp_path / "checkpoint" / "00004")  # that of epoch 0 is left
    resumed, _ = fit(config, dataset, tmp_path, resume=True)
    assert_same(weights(whole), weights(resumed))
    assert (tmp_path / "checkpoint" / "constant" / "00002" / "state.json").exists()


@pytest.mark.parametrize(("steps", "together"), [(1, 1), (13, 13), (23, 1), (600, 20)])
def test_steps_without_python_divide_an_epoch(steps, together):
    assert training.steps_per_execution(steps) == together


def test_test_labels_change_nothing_but_the_reported_error(tmp_path, dataset):
    config = Config.for_dataset("digits", **TINY)
    shuffled = dataclasses.replace(dataset, y_test=np.random.default_rng(0).permutation(dataset.y_test))
    (first, kept), (second, changed) = (fit(config, d, tmp_path / str(i)) for i, d in enumerate((dataset, shuffled)))
    assert_same(weights(first), weights(second))
    for left, right in zip(kept.history, changed.history, strict=True):
        assert left["test_error"] != right["test_error"]
        reported = {"seconds", "test_error", "test_nll", "test_ece"}
        assert {k: v for k, v in left.items() if k not in reported} == {
            k: v for k, v in right.items() if k not in reported
        }


def test_labels_that_were_not_chosen_are_not_seen(tmp_path, dataset):
    config = Config.for_dataset("digits", **TINY)
    indices = choose_labels(dataset.y, dataset.class_names, config.labels, config.seed)
    hidden = np.full_like(dataset.y, -1)
    hidden[indices] = dataset.y[indices]
    first, _ = train(config, dataset, indices, tmp_path / "known")
    second, _ = train(config, dataclasses.replace(dataset, y=hidden), indices, tmp_path / "hidden")
    assert_same(weights(first), weights(second))


def test_a_loss_that_is_not_finite_keeps_the_last_good_checkpoint(tmp_path, dataset):
    config = Config.for_dataset("digits", **{**TINY, "epochs": 1, "likelihood": "gaussian"})
    fit(config, dataset, tmp_path)
    x = dataset.x.copy()
    x[::10] = np.nan  # cannot come from a file, which is checked; stands for any cause
    longer = dataclasses.replace(config, epochs=3)
    broken = dataclasses.replace(dataset, x=x)
    indices = choose_labels(dataset.y, dataset.class_names, config.labels, config.seed)
    state = next((tmp_path / "checkpoint").glob("00001/state.json"))
    fingerprint = training.fingerprint(longer, broken, indices)
    state.write_text(json.dumps(json.loads(state.read_text()) | {"fingerprint": fingerprint}))
    with pytest.raises(TrainingError, match=r"Expected a finite loss. Received NaN or infinity at step \d+. Likely"):
        train(longer, broken, indices, tmp_path, resume=True)
    assert sorted(path.name for path in (tmp_path / "checkpoint").iterdir()) == ["00000", "00001"]
    model = build_model(config, dataset, config.labels)
    assert restore_checkpoint(tmp_path / "checkpoint", model, fingerprint).epoch == 1
    assert all(np.isfinite(weight).all() for weight in weights(model))


def test_weights_that_are_not_finite_are_not_saved(tmp_path, dataset):
    model = build_model(Config.for_dataset("digits", **TINY), dataset, 20)
    save_checkpoint(tmp_path, model, Progress(), "run")
    model.trainable_variables[0].assign(np.full(model.trainable_variables[0].shape, np.nan))
    with pytest.raises(TrainingError, match="Expected finite weights after step 0, epoch 1"):
        save_checkpoint(tmp_path, model, Progress(epoch=1), "run")
    assert [path.name for path in tmp_path.iterdir()] == ["00000"]


def test_the_two_newest_checkpoints_are_kept(tmp_path, dataset):
    model = build_model(Config.for_dataset("digits", **TINY), dataset, 20)
    for epoch in range(4):
        save_checkpoint(tmp_path, model, Progress(epoch), "run")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00002", "00003"]


@pytest.mark.parametrize("damage", ["weights", "state", "absent"])
def test_a_damaged_checkpoint_is_named(tmp_path, dataset, damage):
    model = build_model(Config.for_dataset("digits", **TINY), dataset, 20)
    save_checkpoint(tmp_path, model, Progress(), "run")
    file = tmp_path / "00000" / ("state.json" if damage == "state" else "variables.npz")
    if damage == "absent":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InputError, match="Expected a complete checkpoint. Received a damaged one: delete .*00000"):
        restore_checkpoint(tmp_path, model, "run")


def test_a_checkpoint_of_another_run_is_refused(tmp_path, dataset):
    model = build_model(Config.for_dataset("digits", **TINY), dataset, 20)
    save_checkpoint(tmp_path, model, Progress(), "run")
    with pytest.raises(InputError, match="Received one of another run"):
        restore_checkpoint(tmp_path, model, "other")


def test_averaged_weights_are_lent_and_given_back(dataset):
    model = build_model(Config.for_dataset("digits", **TINY), dataset, 20)
    own = [variable.numpy() for variable in model.trainable_variables]
    averages = [average.numpy() for average in model.optimizer._model_variables_moving_average]
    for average in model.optimizer._model_variables_moving_average:
        average.assign(average + 1.0)
    with averaged_weights(model):
        assert_same([v.numpy() for v in model.trainable_variables], [average + 1 for average in averages])
    assert_same([v.numpy() for v in model.trainable_variables], own)


@pytest.mark.parametrize(("points", "epochs"), [(150, 2000), (1257, 167), (60_000, 25)])
def test_small_data_are_passed_over_more_often(points, epochs):
    config = Config.for_dataset("mine.npz")
    assert with_epochs(config, points) == dataclasses.replace(config, epochs=epochs)
    given = dataclasses.replace(config, epochs=3)
    assert with_epochs(given, points) == given


def test_a_run_without_test_points_reports_none(tmp_path, monkeypatch):
    whole = digits()
    np.savez(
        tmp_path / "own.npz",
        x_labeled=whole.x[:60] - 8,
        y_labeled=whole.y[:60],
        x_unlabeled=whole.x[60:200] - 8,
    )
    report = run(Config.for_dataset(str(tmp_path / "own.npz"), **{**TINY, "labels": None}), tmp_path / "run")
    assert (report["labels"], report["likelihood"], report["training_points"]) == (60, "gaussian", 200)
    assert report["test_error"] is None
    assert report["supervised_error"] is None
    assert {path.name for path in (tmp_path / "run" / "figures").iterdir()} == {"curves.png", "samples.png"}
    shutil.rmtree(tmp_path / "run")


def test_the_operations_of_a_step_are_counted(dataset):
    """Of a VAE, 64-8-4 and 2-8-64: forward, backward but for x, sums of squares of weights and gradients."""
    model = build_model(Config.for_dataset("digits", **{**TINY, "labels": None, "model": "vae"}), dataset, 0)
    products = 64 * 8 + 8 * 4 + 2 * 8 + 8 * 64
    kernels = [weight for weight in model.trainable_variables if weight.path.endswith("kernel")]
    squares = sum(int(np.prod(weight.shape)) for weight in [*model.trainable_variables, *kernels])
    found = training.count_flops(model, {"unlabeled": tf.constant(dataset.x[:100])})
    assert found == 2 * 100 * (3 * products - 64 * 8) + 2 * squares
