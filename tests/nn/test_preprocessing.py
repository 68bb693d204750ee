import numpy as np
import pytest

from tests.conftest import make_model
from tfadgm.data.arrays import checked_points, likelihood_of
from tfadgm.nn.preprocessing import REACH, Scaling, byte_range, draw_in, drawn_out, outliers

RANDOM = np.random.default_rng(0)
TABLE = RANDOM.normal(5, 3, [100, 6]).astype(np.float32)


def scaling(x: np.ndarray, likelihood: str = "gaussian") -> Scaling:
    layer = Scaling(x.shape[1:], "float64" if x.dtype == np.float64 else "float32")
    layer.build()
    layer.adapt(x, likelihood)
    return layer


def scaled(x: np.ndarray, likelihood: str = "gaussian") -> np.ndarray:
    return scaling(x, likelihood)(x).numpy()


def test_gaussian_scaling_standardises_and_inverts():
    x = TABLE.reshape(100, 2, 3).copy()
    x[:, 0, 0] = 7.0  # constant
    layer = scaling(x)
    rows = layer(x).numpy()
    np.testing.assert_allclose(rows.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(rows.std(0), [0, 1, 1, 1, 1, 1], atol=1e-4)
    np.testing.assert_allclose(layer.invert(rows), x, rtol=1e-5)


@pytest.mark.parametrize("unit", [1e-30, 1e-9, 1e-3, 1.0, 255.0, 1e12, 1e30])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_the_unit_of_measurement_does_not_matter(unit, offset):
    x = checked_points("x", unit * (TABLE.astype(np.float64) + offset))
    np.testing.assert_allclose(scaled(x), scaled(TABLE.astype(np.float64)), atol=2e-3)


@pytest.mark.parametrize("scale", [1.0, 60.0, 3600.0])
def test_a_time_stamp_is_scaled_like_any_column(scale):
    """Unix seconds within a second, a minute and an hour, in float64, keep what tells them apart."""
    wide = checked_points("x", np.column_stack([1.7e9 + scale * TABLE[:, 0].astype(np.float64), TABLE[:, 1]]))
    assert wide.dtype == np.float64
    np.testing.assert_allclose(scaled(wide), scaled(TABLE[:, :2]), atol=1e-4)
    layer = scaling(wide)
    np.testing.assert_allclose(layer.invert(layer(wide)), wide, rtol=1e-6)


def test_whole_numbers_are_read_before_they_are_rounded():
    milliseconds = (1.7e12 + 3_600_000 * RANDOM.random([200, 1])).astype(np.int64)
    rows = scaled(checked_points("x", milliseconds))
    assert len(np.unique(rows)) == len(np.unique(milliseconds))
    np.testing.assert_allclose(rows.std(), 1, rtol=1e-5)


def test_small_numbers_stay_float32():
    for x in (TABLE, TABLE.astype(np.float64), np.arange(20).reshape(10, 2), TABLE > 5):
        assert checked_points("x", x).dtype == np.float32


@pytest.mark.parametrize("glitch", [1e3, 1e6, -1e30])
def test_one_glitch_does_not_erase_its_column(glitch):
    x = TABLE.copy()
    x[17] = glitch
    rest = np.arange(100) != 17
    np.testing.assert_allclose(scaled(x)[rest], scaled(TABLE[rest]), atol=1e-3)
    assert np.abs(scaled(x)).max() < 90
    assert outliers(x).keys() == set(range(6))


def test_what_is_rare_is_no_glitch():
    x = np.zeros([1000, 1], np.float32)
    x[:3] = [[1.0], [2.0], [3.0]]
    assert len(np.unique(scaled(x))) == 4
    assert scaled(x)[0, 0] > 1


def test_a_rest_that_is_next_to_nothing_is_constant():
    """Its deviation underflows."""
    x = np.array([[0.0], [0.0], [1.7e-243], [1.0]])
    assert np.isfinite(scaled(x)).all()


def test_far_values_are_drawn_in_and_back():
    z = np.concatenate([np.linspace(-REACH, REACH, 41), [50.0, -1e4]]).astype(np.float32)
    drawn = draw_in(z).numpy()
    np.testing.assert_array_equal(drawn[:41], z[:41])
    np.testing.assert_allclose(drawn[41:], [REACH + np.log(41), -REACH - np.log(1e4 - REACH + 1)], rtol=1e-5)
    np.testing.assert_allclose(drawn_out(drawn), z, rtol=1e-3)


@pytest.mark.parametrize(
    ("x", "largest"),
    [
        (np.array([[0, 40]], np.uint8), 40.0),
        (np.array([[0, 200]], np.uint8), 255.0),
        (np.array([[0, 1]], np.uint8), 1.0),
        (np.array([[0.0, 16.0]], np.float32), 16.0),
        (np.array([[0.0, 0.5]], np.float32), 0.5),
        (np.array([[0.0, 0.0]], np.float32), 1.0),
    ],
)
def test_bernoulli_scaling_reaches_the_unit_interval(x, largest):
    layer = scaling(x, "bernoulli")
    np.testing.assert_allclose(layer(x), x / largest, rtol=1e-6)
    np.testing.assert_allclose(layer.invert(layer(x)), x, rtol=1e-6)


def test_principal_components_keep_their_proportions():
    mixed = RANDOM.normal(size=[300, 12]) @ RANDOM.normal(size=[12, 12]) + 5
    _, _, directions = np.linalg.svd(mixed - mixed.mean(0), full_matrices=False)
    components = mixed @ directions.T
    part = scaled(components[:200], "gaussian")  # of rows that the directions were not found on alone
    np.testing.assert_allclose(part.std(0) / part.std(0)[0], components[:200].std(0) / components[:200].std(0)[0], 1e-3)
    assert np.mean(part**2) == pytest.approx(1, rel=1e-3)
    for other in (mixed, components[:, ::-1], components[:, :4]):  # which correlate, are of any order, or are few
        np.testing.assert_allclose(scaled(other, "gaussian").std(0), 1, rtol=1e-3)


def test_intensities_below_zero_reach_it_too():
    x = np.array([[-1.0, 0.0], [1.0, 0.5]], np.float32)
    layer = scaling(x, "bernoulli")
    np.testing.assert_allclose(layer(x), [[0, 0.5], [1, 0.75]])
    np.testing.assert_allclose(layer.invert(layer(x)), x)


def test_the_same_levels_in_any_type_are_the_same_images():
    levels = RANDOM.integers(0, 17, [50, 8, 8])
    kinds = [levels.astype(np.uint8), levels.astype(np.float32), levels / 16, levels]
    rows = [scaled(checked_points("x", x), likelihood_of(x)) for x in kinds]
    for other in rows[1:]:
        np.testing.assert_allclose(other, rows[0], atol=1e-6)


@pytest.mark.parametrize(
    ("x", "likelihood"),
    [
        (np.array([[0.0, 0.3, 1.0]]), "gaussian"),  # shares, not bits
        (np.array([[0.0, 1.0], [1.0, 1.0]]), "bernoulli"),
        (np.array([[True, False]]), "bernoulli"),
        (np.array([[0, 255]], np.uint8), "gaussian"),
        (np.array([[[0, 255]]], np.uint8), "bernoulli"),
        (np.array([[[0.0, 16.0]]]), "bernoulli"),
        (np.array([[[-1.0, 1.0]]]), "gaussian"),
        (np.array([[0.0, 1.5]]), "gaussian"),
        (np.where(RANDOM.random([20, 784]) < 0.8, 0, RANDOM.random([20, 784])), "bernoulli"),  # a flat image
        (np.where(RANDOM.random([20, 784]) < 0.8, 0, RANDOM.integers(1, 256, [20, 784])).astype(np.uint8), "bernoulli"),
        (np.where(RANDOM.random([20, 784]) < 0.8, -1, 2 * RANDOM.random([20, 784]) - 1), "bernoulli"),
        (np.where(RANDOM.random([20, 64]) < 0.8, 0, RANDOM.integers(1, 17, [20, 64])).astype(float), "bernoulli"),
        (np.where(RANDOM.random([20, 9]) < 0.8, 0, RANDOM.integers(1, 17, [20, 9])).astype(float), "gaussian"),  # few
        (np.where(RANDOM.random([20, 64]) < 0.8, 0, np.logspace(0, 4, 64) * RANDOM.random([20, 64])), "gaussian"),
        (RANDOM.random([20, 784]), "gaussian"),
        (RANDOM.poisson(0.1, [20, 784]), "gaussian"),  # counts
    ],
)
def test_the_likelihood_follows_what_the_values_are(x, likelihood):
    assert likelihood_of(x) == likelihood


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (np.array([0, 16], np.uint8), (0.0, 255.0)),
        (np.array([0.0, 250.0]), (0.0, 255.0)),
        (np.array([0.0, 16.0]), (0.0, 16.0)),
        (np.array([0.0, 0.9]), (0.0, 1.0)),
        (np.array([-0.9, 1.0]), (-1.0, 1.0)),
        (np.array([-2.1, 2.6]), ()),
    ],
)
def test_what_a_byte_stands_for(x, expected):
    assert byte_range(x) == expected


@pytest.mark.parametrize("shape", [(5, 16), (5, 3, 2), (5, 2, 3, 1), (5, 6)])
def test_features_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"Expected features of shape \(2, 3\). Received: \("):
        make_model("SDGM").predict(np.zeros(shape), verbose=0)


def test_a_model_reads_float64_whole():
    """Keras would round it to float32 on the way in."""
    model = make_model("SDGM", feature_shape=(2,), likelihood="gaussian", feature_dtype="float64")
    x = 1.7e9 + np.random.default_rng(0).random([40, 2])
    model.adapt(x)
    by_rows = np.concatenate([model(row[None]) for row in x])
    np.testing.assert_allclose(model.predict(x, verbose=0), by_rows, atol=1e-5)
    assert np.ptp(by_rows[:, 0]) > 1e-4
