"""What the data decide of a run, and how that is told."""

import numpy as np
import pytest

from tfadgm import cli
from tfadgm.config import Config, recipe
from tfadgm.data.arrays import make_dataset
from tfadgm.resolve import default_epochs, reasons, resolve


@pytest.mark.parametrize(("points", "epochs"), [(150, 1000), (500, 200), (501, 200), (1257, 84), (60_000, 25)])
def test_small_data_are_passed_over_more_often(points, epochs):
    assert default_epochs(Config.for_dataset("mine.npz"), points) == epochs


@pytest.mark.parametrize(("points", "units"), [(60, (64, 64)), (500, (64, 64)), (501, (128, 128))])
def test_small_data_have_small_networks(points, units):
    x, y = np.random.default_rng(0).normal(size=[points, 2]).astype(np.float32), np.arange(points) % 2
    data = make_dataset(x, y)
    assert resolve(Config.for_dataset("mine.npz"), data).hidden_units == units
    assert resolve(Config.for_dataset("mine.npz", hidden_units=[9]), data).hidden_units == (9,)


@pytest.mark.parametrize(
    ("shape", "trunk"),
    [((32, 32), "conv"), ((40, 32, 3), "conv"), ((31, 40, 3), "mlp"), ((8, 8), "mlp"), ((4096,), "mlp")],
)
def test_large_images_are_seen_through_convolutions(shape, trunk):
    x = np.random.default_rng(0).integers(0, 256, [20, *shape]).astype(np.uint8)
    data = make_dataset(x, np.arange(20) % 2)
    config = resolve(Config.for_dataset("mine.npz"), data)
    assert (config.trunk, config.epochs) == (trunk, 1000 if trunk == "mlp" else 500)  # of one step
    assert resolve(Config.for_dataset("mine.npz", trunk="conv"), data).trunk == "conv"
    assert resolve(Config.for_dataset("mine.npz", **recipe("paper")), data).trunk == "mlp"


def test_the_radius_of_vat_follows_the_distances_of_images():
    x = np.random.default_rng(0).integers(0, 256, [50, 8, 8]).astype(np.uint8)
    scaled = x.reshape(50, -1) / 255.0
    tenth = np.sort(np.linalg.norm(scaled[:, None] - scaled, axis=-1))[:, 10]  # itself is the first
    config = Config.for_dataset("mine.npz")
    assert resolve(config, make_dataset(x, np.arange(50) % 2)).vat_epsilon == pytest.approx(
        0.3 * np.median(tenth), rel=0.01
    )
    assert resolve(config, make_dataset(scaled, np.arange(50) % 2)).vat_epsilon == 0  # numbers, for all that is known
    assert resolve(config, make_dataset(x[:2], np.arange(2))).vat_epsilon > 0


def test_what_the_data_decide_is_filled_in_once(dataset):
    config = resolve(Config.for_dataset("mine.npz", seed=3), dataset)
    assert (config.epochs, config.likelihood, config.label_seed) == (1000, "gaussian", 3)
    assert (config.hidden_units, config.trunk, config.xla) == ((64, 64), "mlp", True)
    assert (config.alpha, config.vat_epsilon) == (500.0, 0.0)
    assert resolve(config.replace(alpha=None), dataset).alpha == pytest.approx(0.1 * 60 / 20)
    assert resolve(config, dataset) == config
    given = Config.for_dataset(
        "mine.npz",
        epochs=3,
        alpha=2.0,
        likelihood="gaussian",
        label_seed=5,
        trunk="mlp",
        xla=True,
        hidden_units=[9],
        vat_epsilon=0.5,
    )
    assert resolve(given, dataset) == given


def test_what_was_left_to_the_data_is_told_with_its_reason(dataset):
    asked = Config.for_dataset("mine.npz", hidden_units=[9], estimate=False)
    told = list(reasons(asked, resolve(asked, dataset), dataset))
    assert [line.split(":")[0] for line in told] == [
        "--likelihood gaussian", "--trunk mlp", "--vat-epsilon 0", "--epochs 1000", "--no-xla",
    ]  # fmt: skip
    assert list(reasons(resolve(asked, dataset), resolve(asked, dataset), dataset)) == []
    assert cli.train_parser().parse_args([word for line in told for word in line.split(":")[0].split()]).epochs == 1000
