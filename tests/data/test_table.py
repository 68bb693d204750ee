import os

import numpy as np
import pandas as pd
import pytest

from tfadgm.data.dataset import UNLABELED
from tfadgm.data.schema import infer
from tfadgm.data.sources import load_dataset
from tfadgm.data.table import from_frame, read_table
from tfadgm.errors import InputError

CSV = """age,sex,zip,seen,ill
31,f,01234,2024-01-02,no
47.5,m,,2024-02-03 12:00:00,yes
,f,01235,,
1e3, m,01234,2023-12-31,NA
"""


def load(folder, text, name="mine.csv", **options):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_dataset(str(path), **options)


def test_a_table_with_gaps_everywhere(tmp_path):
    data = load(tmp_path, CSV, target="ill")
    assert data.class_names == ("no", "yes")
    assert data.y.tolist() == [0, 1, UNLABELED, UNLABELED]
    assert [(column.name, column.kind) for column in data.schema.columns] == [
        ("age", "numeric"), ("sex", "binary"), ("zip", "numeric"), ("seen", "date"),
    ]  # fmt: skip
    day = 86_400
    expected = [
        [31, 0, 1234, 19_724 * day], [47.5, 1, np.nan, 19_756.5 * day], [np.nan, 0, 1235, np.nan],
        [1e3, 1, 1234, 19_722 * day],
    ]  # fmt: skip
    np.testing.assert_array_equal(data.x, expected)
    assert data.likelihood == "mixed"


@pytest.mark.parametrize(
    "content",
    [
        CSV.replace(",", ";").encode(),
        CSV.replace(",", "\t").encode(),
        CSV.replace(",", "|").encode(),
        b"\xef\xbb\xbf" + CSV.encode(),
        CSV.encode("utf-16"),
        CSV.replace("\n", "\r\n").encode(),
        CSV.replace("\n31", '\n"31"').encode(),
        CSV.encode().rstrip(b"\n"),
    ],
)
def test_every_way_to_write_the_same_table(tmp_path, content):
    plain, other = load(tmp_path, CSV, target="ill"), load(tmp_path, content, "other.csv", target="ill")
    np.testing.assert_array_equal(plain.x, other.x)
    np.testing.assert_array_equal(plain.y, other.y)
    assert plain.schema == other.schema


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "to begin with the names of its columns"),
        (b"\n\n", "to begin with the names"),
        (b"a,b\n1,2,3\n", "Expected 2 cells in each row .* Received: 3 in line 2"),
        (b"a,b\n1\n", "Received: 1 in line 2"),
        (b"a,a,ill\n1,2,no\n", "Received twice: 'a'"),
        (b"a,ill\n", "Expected a table with rows and columns. Received: 0 rows"),
        (b"ill\nno\nyes\n", "Received: 2 rows of 0"),
        (b"a,b\n1,2\n", "Expected --target to name a column: a, b. Received: 'ill'"),
        (b"a,ill\n1,\n2,\n", "Expected 2 to 1000 classes in column 'ill'. Received: 0"),
        (b"a,ill\n1,no\n2,no\n", "Received: 1"),
        (b"a,ill\n7,no\n7,yes\n", r"Expected a column to learn from. Received: a \(constant\)"),
        (b"a,ill\n\xff\xfe\x00,no\n", "to be a table of a head and rows"),
        (b"a,ill\n\x00\x00,no\n", "to be text"),
        (b'a,ill\n"1,no\n', "to be a table of a head and rows"),
        (b"a,ill\n" + b"1" * 200_000 + b",no\n", "to be a table of a head and rows"),
    ],
)
def test_bad_tables_are_one_line(tmp_path, content, message):
    with pytest.raises(InputError, match=message) as error:
        load(tmp_path, content, target="ill")
    assert "\n" not in str(error.value)


def test_signs_are_classes_and_categories(tmp_path):
    """`-` is a gap among numbers only."""
    data = load(tmp_path, "a,b,c\n+,1,+\n-,2,-\n+,-,-\n", target="c")
    assert (data.class_names, data.y.tolist()) == (("+", "-"), [0, 1, 1])
    np.testing.assert_array_equal(data.x, [[0, 1], [1, 2], [0, np.nan]])


def test_an_absent_table_is_named(tmp_path):
    with pytest.raises(InputError, match="Expected an existing table"):
        load_dataset(str(tmp_path / "mine.csv"), target="ill")


def test_parquet_and_frames_are_the_same_table(tmp_path):
    frame = pd.DataFrame({
        "age": [31, 47, None, 50], "sex": pd.Categorical(["f", "m", "f", None]), "on": [True, False, True, None],
        "seen": pd.to_datetime(["2024-01-02", "2024-02-03", None, "2024-01-02"]), "ill": ["no", "yes", None, None],
    })  # fmt: skip
    frame.to_parquet(tmp_path / "mine.parquet")
    direct, stored = from_frame(frame, "ill"), load_dataset(str(tmp_path / "mine.parquet"), target="ill")
    np.testing.assert_array_equal(direct.x, stored.x)
    assert direct.schema == stored.schema
    assert [column.kind for column in direct.schema.columns] == ["numeric", "binary", "binary", "date"]
    assert direct.y.tolist() == [0, 1, UNLABELED, UNLABELED]


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([f"{value:.3f}" for value in np.random.default_rng(0).normal(size=100)], "numeric"),
        (["1", "2", "3", "?", "-"] * 30, "numeric"),
        (["+", "-"] * 20, "binary"),
        (["1,5", "2,5", "3,25"] * 10, "numeric"),
        (["0", "1"] * 50, "binary"),
        (["3", "4"] * 5, "numeric"),
        (["yes", "no", ""] * 20, "binary"),
        (["red", "green", "blue"] * 20, "categorical"),
        (["2024-01-02", "2024-05-06", "2023-01-01"] * 10, "date"),
        (["3.2.2024", "14.2.2024", ""] * 10, "date"),
        ([str(row) for row in range(100)], "identifier"),
        ([f"patient-{row}" for row in range(100)], "identifier"),
        ([f"the {row} th patient came at noon" for row in range(100)], "text"),
        (["7"] * 30, "constant"),
        ([""] * 30, "empty"),
        (["x", ""] * 30, "categorical"),
    ],
)
def test_columns_are_seen_for_what_they_are(cells, kind):
    schema = infer(pd.DataFrame({"column": cells, "other": np.arange(len(cells)) % 7}))
    found = {column.name: column.kind for column in schema.columns} | dict(schema.dropped)
    assert found["column"] == kind


def test_a_column_may_be_asked_for(tmp_path):
    data = load(tmp_path, CSV, target="ill", columns="age=categorical,zip=drop")
    assert [column.kind for column in data.schema.columns] == ["categorical", "binary", "date"]
    assert data.schema.columns[0].values == ("1e3", "31", "47.5")
    assert "zip: left out, as asked" in data.notes


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("age", "Expected --columns NAME=KIND"),
        ("weight=numeric", "Received: 'weight'"),
        ("age=real", "Received: age=real"),
        ("age=binary", "Expected column 'age' to hold two values"),
        ("sex=numeric", "Expected column 'sex' to hold numeric values. Received none"),
    ],
)
def test_kinds_that_cannot_be_are_named(tmp_path, columns, message):
    with pytest.raises(InputError, match=message):
        load(tmp_path, CSV, target="ill", columns=columns)


def test_rare_categories_are_one_and_unknown_ones_belong_to_it():
    frame = pd.DataFrame({"colour": ["red"] * 120 + ["blue"] * 100 + ["mauve", "ochre"]})
    (column,) = (schema := infer(frame)).columns
    assert (column.values, column.other, column.size) == (("blue", "red"), True, 3)
    codes = schema.code(pd.DataFrame({"colour": ["red", "ochre", "never seen", None]}))
    np.testing.assert_array_equal(codes[:, 0], [1, 2, 2, np.nan])


def test_a_column_that_is_missing_is_named():
    schema = infer(pd.DataFrame({"age": ["1", "2", "4"], "sex": ["f", "m", "m"]}))
    with pytest.raises(InputError, match="Expected the columns of training in new.csv. Received none called 'sex'"):
        schema.code(pd.DataFrame({"age": ["3"]}), "new.csv")


def test_names_are_told_as_text(tmp_path):
    head = "\x1b[2Jage," + "ä" * 500
    with pytest.raises(InputError) as error:
        load(tmp_path, f"{head}\n1,2\n", target="ill")
    assert "\x1b" not in str(error.value)


def test_chunks_are_the_whole_table(tmp_path, monkeypatch):
    monkeypatch.setattr("tfadgm.data.table.CHUNK", 2)
    (tmp_path / "mine.csv").write_text(CSV)
    assert read_table(tmp_path / "mine.csv")["age"].tolist() == ["31", "47.5", None, "1e3"]


def test_a_panel_table_is_typed_well():
    folder = os.environ.get("TFADGM_PANEL")
    if not folder:
        pytest.skip("no panel: set TFADGM_PANEL to its folder")
    kinds = {c.name: c.kind for c in load_dataset(f"{folder}/adult.csv", target="target").schema.columns}
    assert kinds["age"] == kinds["capital_gain"] == "numeric"
    assert kinds["native_country"] == "categorical"
    assert kinds["sex"] == "binary"
