import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy import stats

from tfadgm.data.schema import infer
from tfadgm.nn.conditionals import Mixed
from tfadgm.nn.tables import TableEncoding

FRAME = pd.DataFrame({
    "age": [31.0, 47.5, np.nan, 60.0, 20.0], "sex": ["f", "m", "f", None, "m"], "on": [0, 1, 1, 0, 1],
    "colour": ["red", "green", "blue", "red", None],
    "seen": ["2024-01-02", "2000-02-29T12:30:01.5", None, "1969-12-31 23:59:59Z", "2024-12-31"],
})  # fmt: skip
COLUMNS = {"sex": "binary", "on": "binary", "colour": "categorical", "seen": "date"}


@pytest.fixture
def table() -> tuple[TableEncoding, np.ndarray]:
    schema = infer(FRAME, COLUMNS)
    layer, codes = TableEncoding(schema.to_json()), schema.code(FRAME)
    layer.build()
    layer.adapt(codes)
    return layer, codes


def test_what_the_networks_see(table):
    layer, codes = table
    rows = layer(codes).numpy()
    assert rows.shape == (5, layer.units)
    assert layer.units == 2 * 4 + 3
    known = np.array([31, 47.5, 60, 20])
    np.testing.assert_allclose(rows[[0, 1, 3, 4], 0], (known - known.mean()) / known.std(), rtol=1e-5)
    np.testing.assert_array_equal(rows[:, 2:4], [[0, 0], [1, 1], [0, 1], [0, 0], [1, 1]])
    np.testing.assert_array_equal(rows[:, 4:8], [[0] * 4, [0] * 4, [1, 1, 0, 0], [0, 0, 1, 0], [0] * 4])
    np.testing.assert_array_equal(rows[:, 8:], [[0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]])


def test_raw_columns_are_the_same_as_codes(table):
    layer, codes = table
    raw = {
        "age": FRAME["age"].to_numpy(),
        "on": FRAME["on"].to_numpy(float),
        **{name: FRAME[name].fillna("").to_numpy(str) for name in ("sex", "colour", "seen")},
    }
    np.testing.assert_array_equal(layer.code(raw), codes)
    np.testing.assert_array_equal(tf.function(layer)(raw), layer(codes))


@pytest.mark.parametrize("text", ["", "yesterday", "2024-1-2", "2024-01-02T3", "0000-00-00x"])
def test_times_that_are_none_are_missing(table, text):
    layer, _ = table
    raw = {"age": [1.0], "on": [1.0], "sex": ["f"], "colour": ["violet"], "seen": [text]}
    codes = layer.code(raw).numpy()[0]
    names = list(FRAME.columns)
    assert np.isnan(codes[names.index("seen")])
    assert np.isnan(codes[names.index("colour")])  # never seen


def test_every_day_of_a_century_agrees_with_pandas(table):
    layer, _ = table
    days = pd.date_range("1950-01-01", "2050-01-01", freq="D")
    text = days.strftime("%Y-%m-%d").to_numpy(str)
    raw = {"age": np.zeros(len(days)), "on": np.zeros(len(days)), "sex": text, "colour": text, "seen": text}
    expected = days.to_numpy("datetime64[s]").astype(np.int64)
    np.testing.assert_array_equal(layer.code(raw)[:, list(FRAME.columns).index("seen")], expected)


def test_codes_come_back(table):
    layer, codes = table
    back, known = layer.invert(layer(codes)).numpy(), ~np.isnan(codes)
    precision = np.where(np.isnan(codes), 1, 1e-6 * np.nanstd(codes, 0))
    assert (np.abs(back - codes) <= precision)[known].all()
    assert not np.isnan(back).any()


def test_what_is_missing_is_not_moved(table):
    layer, codes = table
    free = layer.free(layer(codes)).numpy()
    np.testing.assert_array_equal(free[:, 4:8], 0)  # the marks themselves
    np.testing.assert_array_equal(free[2], [0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(free[4], [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0])


@pytest.mark.parametrize("x", [np.zeros([5, 4]), np.zeros([5, 2, 3]), {"age": np.zeros(5)}])
def test_other_columns_are_refused(table, x):
    with pytest.raises(ValueError, match="Expected .* Received"):
        table[0](x)


def test_the_likelihood_is_the_product_over_what_is_there(table):
    layer, codes = table
    p_x = Mixed(len(layer.numeric), len(layer.binary), layer.sizes, input_units=[2], hidden_units=())
    p_x.build()
    z = np.random.default_rng(0).normal(size=[5, 2]).astype(np.float32)
    rows, parameters = layer(codes).numpy(), p_x(z).numpy().astype(float)
    (mean, log_variance), bits, logits = (
        parameters[:, :4].reshape(5, 2, 2).swapaxes(0, 1),
        parameters[:, 4:6],
        parameters[:, 6:],
    )
    deviation = np.exp(4 * np.tanh(log_variance / 8))
    expected = np.zeros(5)
    for row in range(5):
        for column in range(2):
            if not rows[row, 4 + column]:
                expected[row] += stats.norm.logpdf(rows[row, column], mean[row, column], deviation[row, column])
            if not rows[row, 6 + column]:
                share = 1 / (1 + np.exp(-bits[row, column]))
                expected[row] += np.log(share if rows[row, 2 + column] else 1 - share)
        if rows[row, 8:].any():
            expected[row] += logits[row, rows[row, 8:].argmax()] - np.log(np.exp(logits[row]).sum())
    np.testing.assert_allclose(p_x.distribution(z).log_prob(rows), expected, rtol=1e-4)


def test_the_mean_is_a_row_without_gaps(table):
    layer, _ = table
    p_x = Mixed(len(layer.numeric), len(layer.binary), layer.sizes, input_units=[2], hidden_units=())
    p_x.build()
    mean = p_x.distribution(tf.ones([3, 2])).mean().numpy()
    assert mean.shape == (3, layer.units)
    np.testing.assert_array_equal(mean[:, 4:8], 0)
    np.testing.assert_allclose(mean[:, 8:].sum(1), 1, rtol=1e-5)
