"""export.py as a user runs it."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving.conftest import NAMES

ROOT = Path(__file__).parents[2]


def start(*flags: object) -> subprocess.Popen:
    command = [sys.executable, str(ROOT / "export.py"), *map(str, flags)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    printed, errors = process.communicate()
    return process.returncode, printed, errors


@pytest.mark.slow
def test_two_exports_at_once_become_two_versions_named_after_the_run(tmp_path, run_dir):
    processes = [start(run_dir, "--output", tmp_path / "models", "--samples", 4) for _ in range(2)]
    for process in processes:
        status, printed, errors = finish(process)
        assert (status, errors) == (0, "")
        assert "tensorflow_model_server" in printed
    folder = tmp_path / "models" / "mine"
    assert sorted(path.name for path in folder.iterdir()) == ["1", "2"]
    for version in folder.iterdir():
        info = json.loads((version / "assets.extra" / "model_info.json").read_text())
        assert (info["name"], info["samples"], info["classes"]) == ("mine", 4, list(NAMES))
        assert info["verified"]["largest_difference"]["keras"] <= 1e-6
    assert (tmp_path / "models" / "models.config").read_text().count("base_path") == 1


def test_a_stopped_export_leaves_nothing(tmp_path, run_dir):
    process = start(run_dir, "--output", tmp_path / "models")
    while not list((tmp_path / "models").glob("mine/.partial-*/assets.extra/model_info.json")):
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    status, _, errors = finish(process)
    assert status == 130
    assert errors == "\nexport.py: interrupted.\n"
    assert not list((tmp_path / "models").iterdir())


def test_bad_flags_and_folders_end_in_one_line(tmp_path):
    for flags, message in [
        ([], "Expected flags as in --help"),
        ([tmp_path, "--output", tmp_path / "models"], "Expected a finished run of train.py"),
    ]:
        status, printed, errors = finish(start(*flags))
        assert (status, printed) == (2, "")
        assert errors.startswith(f"export.py: {message}")
        assert errors.count("\n") == 1
