"""Training: resumed runs end where whole ones end, checkpoints, the step size, what labels and tests may change."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests.support.faults import killed_before
from tests.training.conftest import tiny
from tfadgm.config import Config
from tfadgm.data.dataset import UNLABELED
from tfadgm.data.labels import choose_labels
from tfadgm.errors import InputError, TrainingError
from tfadgm.resolve import resolve
from tfadgm.training import build, callbacks
from tfadgm.training.build import build_model, fingerprint
from tfadgm.training.callbacks import averaged_weights, write_history
from tfadgm.training.checkpoint import restore_checkpoint
from tfadgm.training.trainer import train


def fit(config, dataset, folder, resume=False):
    return train(resolve(config, dataset), dataset, folder, resume, verbose=0)


def weights(model) -> list[np.ndarray]:
    return [weight.numpy() for weight in model.weights]


def assert_same(left, right):
    for a, b in zip(left, right, strict=True):
        np.testing.assert_array_equal(a, b)


def check_resumed(tmp_path, dataset, config):
    whole, _ = fit(config, dataset, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "parts")
    shutil.rmtree(tmp_path / "parts" / "checkpoint" / "00004")  # that of epoch 3 is left
    for stray in ("partial", "00001 (copy)", "00006.bak"):  # what a kill or a user leaves
        (tmp_path / "parts" / "checkpoint" / stray).mkdir()
    resumed, progress = fit(config, dataset, tmp_path / "parts", resume=True)
    assert_same(weights(whole), weights(resumed))
    assert_same(*([v.numpy() for v in m.optimizer.variables] for m in (whole, resumed)))
    assert [row["epoch"] for row in progress.history] == [1, 2, 3, 4]
    columns = [(tmp_path / name / "metrics.csv").read_text().splitlines()[0] for name in ("whole", "parts")]
    assert columns[0] == columns[1]


def test_a_resumed_run_ends_where_the_uninterrupted_one_ends(tmp_path, dataset, monkeypatch, eager):
    monkeypatch.setattr(callbacks, "SAVE_EVERY", 0.0)
    check_resumed(tmp_path, dataset, tiny(decay=0.5, ema_momentum=0.9, vat_epsilon=1.0))


@pytest.mark.slow
@pytest.mark.parametrize(("model", "choices"), [("m2", {}), ("adgm", {"decay": 0.5}), ("sdgm", {"xla": True})])
def test_so_does_a_deep_generative_model(tmp_path, dataset, monkeypatch, model, choices):
    """Its noise, its drawn classes and its averages belong to the step."""
    monkeypatch.setattr(callbacks, "SAVE_EVERY", 0.0)
    choices = {
        "latent_units": 2,
        "marginalization": "rao_blackwellised",
        "distribution_alignment_weight": 1.0,
        **choices,
    }
    check_resumed(tmp_path, dataset, tiny(model=model, **choices))


@pytest.mark.parametrize("stride", [12, pytest.param(4, marks=pytest.mark.slow)])
def test_a_run_killed_at_any_write_goes_on_to_the_same_end(tmp_path, dataset, monkeypatch, eager, stride):
    """Before one in so many things that it does on the disk; then it is resumed."""
    monkeypatch.setattr(callbacks, "SAVE_EVERY", 0.0)
    config = tiny(epochs=2)
    with killed_before(None) as met:
        whole, _ = fit(config, dataset, tmp_path / "whole")
    assert len(met) > 15
    for number in range(0, len(met), stride):
        folder = tmp_path / str(number)
        with killed_before(number) as before:
            fit(config, dataset, folder)
        assert len(before) == number
        resumed, progress = fit(config, dataset, folder, resume=True)
        assert_same(weights(whole), weights(resumed))
        assert [row["epoch"] for row in progress.history] == [1, 2]


@pytest.mark.parametrize(("seconds", "kept"), [(0.0, ["00003", "00004"]), (1e9, ["00000", "00004"])])
def test_a_checkpoint_is_saved_when_it_is_time_and_at_the_end(tmp_path, dataset, monkeypatch, eager, seconds, kept):
    monkeypatch.setattr(callbacks, "SAVE_EVERY", seconds)
    fit(tiny(), dataset, tmp_path)
    assert sorted(path.name for path in (tmp_path / "checkpoint").iterdir()) == kept
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 5


def test_the_step_size_holds_and_then_falls_to_zero():
    constant = Config.of(epochs=10, learning_rate=0.5)
    assert build.learning_rate(constant, 100) == 0.5
    decaying = build.learning_rate(constant.replace(decay=0.4), 100)
    sizes = [float(decaying(step)) for step in (0, 300, 600, 800, 1000)]
    np.testing.assert_allclose(sizes, [0.5, 0.5, 0.5, 0.25, 0.0], atol=1e-6)
    assert float(build.learning_rate(constant.replace(decay=1.0), 100)(500)) == pytest.approx(0.25)


def test_a_step_size_that_has_no_step_to_fall_stays():
    assert build.learning_rate(Config.of(epochs=3, decay=0.01), 2) == 1e-3


@pytest.mark.slow
def test_a_run_whose_step_size_falls_can_be_lengthened(tmp_path, dataset, monkeypatch, eager):
    """It goes on from where the step size fell, as if it had been as long from the start; also if it is killed."""
    monkeypatch.setattr(callbacks, "SAVE_EVERY", 0.0)
    config = tiny(decay=0.5)
    longer = config.replace(epochs=6)
    whole, _ = fit(longer, dataset, tmp_path / "whole")
    fit(config, dataset, tmp_path / "parts")
    with pytest.raises(InputError, match="Received one of another run"):
        fit(longer.replace(seed=1), dataset, tmp_path / "parts", resume=True)
    for _ in range(2):
        resumed, progress = fit(longer, dataset, tmp_path / "parts", resume=True)
        assert_same(weights(whole), weights(resumed))
        assert_same(*([v.numpy() for v in m.optimizer.variables] for m in (whole, resumed)))
        assert [row["epoch"] for row in progress.history] == [1, 2, 3, 4, 5, 6]
        for path in (tmp_path / "parts" / "checkpoint").glob("[0-9]*"):  # a kill that comes when these are dropped
            shutil.rmtree(path)


@pytest.mark.slow
def test_a_run_killed_between_its_two_checkpoints_goes_on(tmp_path, dataset, monkeypatch, eager):
    """It comes a second time to the end of its constant step size, whose checkpoint is there."""
    monkeypatch.setattr(callbacks, "SAVE_EVERY", 1e9)
    config = tiny(decay=0.5)
    whole, _ = fit(config, dataset, tmp_path)
    assert (tmp_path / "checkpoint" / "constant" / "00002" / "state.json").exists()
    shutil.rmtree(tmp_path / "checkpoint" / "00004")  # that of epoch 0 is left
    resumed, _ = fit(config, dataset, tmp_path, resume=True)
    assert_same(weights(whole), weights(resumed))
    assert (tmp_path / "checkpoint" / "constant" / "00002" / "state.json").exists()


@pytest.mark.parametrize(("steps", "together"), [(1, 1), (13, 13), (23, 1), (600, 20)])
def test_steps_without_python_divide_an_epoch(steps, together):
    assert build.steps_per_execution(steps) == together


def test_labels_that_were_not_chosen_are_not_seen(tmp_path, whole_data, eager):
    """Wrong ones in their place change nothing."""
    chosen = choose_labels(whole_data, 20, 0)
    seen = chosen.y != UNLABELED
    wrong = dataclasses.replace(whole_data, y=np.where(seen, whole_data.y, 1 - whole_data.y))
    hidden = dataclasses.replace(wrong, y=np.where(seen, wrong.y, UNLABELED))
    (first, _), (second, _) = (fit(tiny(), data, tmp_path / str(index)) for index, data in enumerate((chosen, hidden)))
    assert_same(weights(first), weights(second))
    third, _ = fit(tiny(), wrong, tmp_path / "wrong")
    assert any((one != other).any() for one, other in zip(weights(first), weights(third), strict=True))


def test_the_fingerprint_tells_runs_apart_and_no_more(dataset):
    config = resolve(tiny(), dataset)
    same = [config, config.replace(epochs=9), config.replace(dataset="moons"), config.replace(data_dir="/x")]
    other = [
        config.replace(seed=1),
        config.replace(sharpness=3.0),
        config.replace(decay=0.5),
        config.replace(alpha=1.0),
    ]
    names = [fingerprint(one.flat(), dataset) for one in same]
    assert len(set(names)) == 1
    assert len({*names, *(fingerprint(one.flat(), dataset) for one in other)}) == 5
    assert fingerprint(config.replace(decay=0.5).flat(), dataset) != fingerprint(
        config.replace(decay=0.5, epochs=9).flat(), dataset
    )
    fewer = dataclasses.replace(dataset, y=np.where(np.arange(60) == dataset.label_indices[0], -1, dataset.y))
    assert fingerprint(config.flat(), fewer) != names[0]


def test_a_loss_that_is_not_finite_keeps_the_last_good_checkpoint(tmp_path, dataset, eager):
    config = resolve(tiny(epochs=1, likelihood="gaussian"), dataset)
    fit(config, dataset, tmp_path)
    x = dataset.x.copy()
    x[::10] = np.nan  # cannot come from a file, which is checked; stands for any cause
    longer, broken = config.replace(epochs=3), dataclasses.replace(dataset, x=x)
    state = next((tmp_path / "checkpoint").glob("00001/state.json"))
    name = fingerprint(longer.flat(), broken)
    state.write_text(json.dumps(json.loads(state.read_text()) | {"fingerprint": name}))
    with pytest.raises(TrainingError, match=r"Expected a finite loss. Received NaN or infinity at step \d+. Likely"):
        train(longer, broken, tmp_path, resume=True, verbose=0)
    assert sorted(path.name for path in (tmp_path / "checkpoint").iterdir()) == ["00000", "00001"]
    model = build_model(config, dataset)
    assert restore_checkpoint(tmp_path / "checkpoint", model, name).epoch == 1
    assert all(np.isfinite(weight).all() for weight in weights(model))


def test_averages_are_swapped_in_and_out(dataset):
    model = build_model(resolve(tiny(), dataset), dataset)
    own = [variable.numpy() for variable in model.trainable_variables]
    averages = [average.numpy() for average in model.optimizer._model_variables_moving_average]
    for average in model.optimizer._model_variables_moving_average:
        average.assign(average + 1.0)
    with averaged_weights(model):
        assert_same([v.numpy() for v in model.trainable_variables], [average + 1 for average in averages])
    assert_same([v.numpy() for v in model.trainable_variables], own)


def test_rows_of_metrics_may_have_different_columns(tmp_path):
    write_history(tmp_path / "metrics.csv", [{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0, "test_error": 3.0}])
    assert (tmp_path / "metrics.csv").read_text() == "epoch,loss,test_error\n1,2.0,\n2,1.0,3.0\n"


def test_the_operations_of_a_step_are_counted(dataset):
    """Of a VAE, 3-8-4 and 2-8-6: forward, backward but for x, sums of squares of weights and gradients."""
    config = Config.for_dataset("moons", model="vae", epochs=1, hidden_units=(8,), latent_units=2, xla=False)
    model = build_model(resolve(config, dataset), dataset)
    products = 3 * 8 + 8 * 4 + 2 * 8 + 8 * 6
    kernels = [weight for weight in model.trainable_variables if weight.path.endswith("kernel")]
    squares = sum(int(np.prod(weight.shape)) for weight in [*model.trainable_variables, *kernels])
    found = build.count_flops(model, {"unlabeled": tf.constant(dataset.x[:50])})
    assert found == 2 * 50 * (3 * products - 3 * 8) + 2 * squares


def test_the_operations_of_convolutions_are_counted():
    """Of 7 images of 9x9x3, seen by 16 kernels of 5x5 at every other place: forward, to x and to the kernel alike."""
    kernel = tf.Variable(tf.zeros([5, 5, 3, 16]))

    @tf.function
    def gradients(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(tf.nn.conv2d(x, kernel, 2, "SAME") ** 2)
        return tape.gradient(y, [x, kernel])

    graph = gradients.get_concrete_function(tf.zeros([7, 9, 9, 3])).graph
    assert sum(map(build._flops, graph.get_operations())) == 3 * 2 * (7 * 5 * 5) * (5 * 5 * 3 * 16)
