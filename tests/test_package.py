"""What `pip install .` gives: the wheel holds what the commands need, away from this checkout."""

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import tfadgm
from tfadgm.data.sources import SOURCES

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "source"
    names = ["pyproject.toml", "README.md", "LICENSE", "tfadgm", "tuner"]
    subprocess.run(["mkdir", copy], check=True)
    subprocess.run(["cp", "-r", *names, copy], cwd=ROOT, check=True)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-cache-dir"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(copy)], check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_is_complete(wheel):
    held = set(zipfile.ZipFile(wheel).namelist())
    for package in ("tfadgm", "tuner"):
        own = {str(path.relative_to(ROOT)) for path in (ROOT / package).rglob("*.py")}
        assert own <= held
    assert {f"tfadgm/presets/{path.name}" for path in (ROOT / "tfadgm" / "presets").iterdir()} <= held
    assert not any(name.startswith(("tests", "experiments")) for name in held)
    assert f"tfadgm-{tfadgm.__version__}-" in wheel.name


def test_every_source_has_a_preset():
    named = {"digits", "moons", "mnist", "svhn_cropped", "smallnorb"}
    assert named <= set(SOURCES)
    assert {path.stem for path in (ROOT / "tfadgm" / "presets").iterdir()} == {*named, "arrays", "paper"}


def test_tested_versions_are_those_that_the_package_asks_for():
    """A pin of requirements.txt for every dependency, extras included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [name for key, names in project["optional-dependencies"].items() if key != "all" for name in names]
    pinned = {line.split("==")[0] for line in (ROOT / "requirements.txt").read_text().splitlines() if "==" in line}
    asked = {name.split("~")[0].split(">")[0] for name in [*project["dependencies"], *extras]}
    assert asked <= pinned


@pytest.mark.slow
def test_an_installed_command_trains_elsewhere(wheel, tmp_path):
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(tmp_path / "site"),
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True)
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    command = [
        sys.executable,
        str(tmp_path / "site" / "bin" / "tfadgm"),
        "train",
        "--dataset",
        "digits",
        "--epochs",
        "2",
    ]
    told = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True).stdout
    assert "Model, report, figures and predictions: runs/digits-sdgm-50-0" in told
    assert (tmp_path / "runs" / "digits-sdgm-50-0" / "report.json").exists()
