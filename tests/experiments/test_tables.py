"""The tables in results/, README.md and docs/ are those that the numbers in results/*.json make."""

import pytest

from experiments import ablation, defaults, errors, panel_tables, readme, serving_tables, trunks
from experiments.results import RESULTS, load, summary, table, with_error
from experiments.tuning import tables as tuning_tables
from tfadgm.reproduce import table2

TABLES = {
    "ablation": lambda: ablation.tables(load("ablation")),
    "defaults": lambda: defaults.tables(load("defaults")),
    "mnist_100": lambda: errors.tables(load("mnist_100")),
    "panel": lambda: panel_tables.tables(load("panel")),
    "trunks": lambda: trunks.tables(load("trunks")),
    "serving": lambda: serving_tables.tables(load("serving"), load("trust")),
    "table2": lambda: table2.tables(load("table2")),
    "tuning": lambda: tuning_tables.tables(load("tuning")),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_made_of_its_numbers(name):
    assert TABLES[name]() == (RESULTS / f"{name}.md").read_text()


def test_every_table_is_tested():
    assert {path.stem for path in RESULTS.glob("*.md")} == set(TABLES)


@pytest.mark.parametrize("page", readme.pages(), ids=lambda page: page.name)
def test_pages_hold_the_tables_of_the_results(page):
    assert readme.filled(page.read_text()) == page.read_text()


def test_every_table_has_its_place_in_one_page():
    pages = [page.read_text() for page in readme.pages()]
    assert all(sum(f"<!-- {name} -->\n" in text for text in pages) == 1 for name in readme.TABLES)


def test_a_page_takes_a_new_number(monkeypatch):
    monkeypatch.setitem(readme.TABLES, "time", lambda: ["| new |"])
    text = "before\n<!-- time -->\n| old |\n<!-- /time -->\nafter\n"
    assert readme.filled(text) == "before\n<!-- time -->\n| new |\n<!-- /time -->\nafter\n"


def test_a_mean_comes_with_its_standard_error():
    rows = [{"error": value} for value in (1.0, 2.0, 6.0)]
    result = summary(rows, ["error"])
    assert with_error(result, "error") == "3.00 ± 1.53"
    assert with_error(summary(rows[:1], ["error"]), "error") == "1.00"
    assert with_error(result, "other") == ""
    assert table("| a | b |", [(1, "x")]) == ["| a | b |", "|---|---|", "| 1 | x |"]
