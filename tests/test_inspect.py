import re
import shutil
import subprocess

import numpy as np
import pytest

from tfadgm import cli
from tfadgm.config import Config
from tfadgm.inspect import as_page, look, main
from tfadgm.run import labeled_dataset
from tfadgm.training import build

RANDOM = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def operations(request, monkeypatch):
    """A step's operations are counted in one test alone: its trace takes longer than all the rest."""
    if request.node.name != "test_arrays_are_looked_at":
        monkeypatch.setattr(build, "count_flops", lambda model, batch: 1e6)


def sections(name, **options) -> dict[str, list[str]]:
    config = Config.for_dataset(str(name), hidden_units=(4,), **options)
    return dict(look(config, labeled_dataset(config)))


@pytest.fixture
def table(tmp_path):
    """60 rows, 30 of them with a label, among them what should be noticed."""
    rows = ["age,sex,ward,glitch,id,ill"]
    for row in range(60):
        ill = row % 3 == 0
        label = ("yes" if ill else "no") if row < 30 else ""
        age = "" if row % 10 == 0 else f"{RANDOM.normal(50, 10):.1f}"
        rows.append(
            f"{age},{'fm'[row % 2]},{'x' if ill else 'y'},{1e6 if row == 7 else RANDOM.normal():.3f},{row},{label}"
        )
    rows.append(rows[5])
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(rows))
    return path


def test_a_table_is_looked_at(table):
    found = sections(table, target="ill")
    assert "id: left out, identifier" not in found["Data"]  # 5 comes twice
    assert "missing cells: age 10%" in found["Data"]
    assert found["Labels"] == ["no: 21 labels", "yes: 10 labels"]
    assert "--likelihood mixed: the product over the columns of a table" in found["Choices"]
    told = "\n".join(found["Look at"])
    assert "1 rows are the same as another one" in told
    assert "ward gives the label away" in told
    assert re.search(r"glitch: the farthest value is .* deviations away", told)
    assert "sex gives" not in told
    assert found["Next"] == [f"tfadgm train --dataset {table} --target ill"]
    assert re.search(r"about \d+ seconds on two cores", found["Expect"][0])
    assert re.search(r"about \d+ seconds more for the estimate", found["Expect"][1])


def test_arrays_are_looked_at(tmp_path):
    x = RANDOM.normal(size=[80, 5])
    x[:, 4], x[50:, 0] = 7.0, x[50:, 0] + 6
    y = np.full(80, -1)
    y[:46:2], y[1:46:2] = 0, 1
    y[45] = 2
    np.savez(tmp_path / "mine.npz", x=x, y=y, x_test=x[:2], y_test=np.array([0, 1]))
    told = "\n".join(sections(tmp_path / "mine.npz")["Look at"])
    assert "1 of 5 features are constant" in told
    assert "2 rows of the report are training rows, too" in told
    assert "class 2 has one label" in told
    assert "labeled rows are unlike the others" in told
    assert "very unequal size" in told


def test_sound_data_are_called_so():
    assert sections("moons")["Look at"] == ["nothing suspicious"]


def test_rows_with_several_labels(tmp_path):
    x = RANDOM.normal(size=[20, 3])
    np.savez(tmp_path / "mine.npz", x=np.concatenate([x, x[:2]]), y=np.array([0, 1] * 10 + [1, 0]))
    assert "4 rows have several labels" in sections(tmp_path / "mine.npz")["Look at"]


@pytest.mark.parametrize("name", ["moons", pytest.param("digits", marks=pytest.mark.slow)])
def test_the_command_writes_a_page(name, tmp_path, capsys):
    main([name, "--html", str(tmp_path / "page.html"), "--hidden-units", "4"])
    printed, page = capsys.readouterr().out, (tmp_path / "page.html").read_text()
    assert "Labels" in printed
    assert page.count("data:image/png;base64,") == 2
    assert "http" not in page
    assert cli.command("inspect") is main


def test_data_without_labels_are_looked_at(tmp_path, capsys):
    np.save(tmp_path / "x.npy", RANDOM.normal(size=[50, 3]))
    main([str(tmp_path / "x.npy")])
    assert "none: a density model learns from such data" in capsys.readouterr().out


def test_names_are_text_and_no_markup():
    page = as_page("<script>", [("a", ["<b>&"])], [])
    assert "<script>" not in page
    assert "&lt;b&gt;&amp;" in page


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium: apt-get install chromium")
def test_the_page_shows_in_a_browser(table, tmp_path):
    main([str(table), "--target", "ill", "--html", str(tmp_path / "page.html")])
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1000,1600", "--hide-scrollbars"]
    picture = tmp_path / "page.png"
    subprocess.run(
        ["chromium", *flags, f"--screenshot={picture}", f"file://{tmp_path}/page.html"], check=True, timeout=120,
        capture_output=True,
    )  # fmt: skip
    import matplotlib.image

    pixels = matplotlib.image.imread(picture)
    assert pixels.shape[:2] == (1600, 1000)
    assert pixels.std() > 0.1  # something is drawn
