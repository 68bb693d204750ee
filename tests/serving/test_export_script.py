"""export.py as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

from tests.serving.conftest import NAMES

ROOT = Path(__file__).parents[2]


def start(*flags: object) -> tuple[int, str, str]:
    done = subprocess.run([sys.executable, str(ROOT / "export.py"), *map(str, flags)], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_a_run_becomes_a_version_named_after_its_folder(tmp_path, run_dir):
    status, printed, errors = start(run_dir, "--output", tmp_path / "models", "--samples", 4)
    assert (status, errors) == (0, "")
    version = tmp_path / "models" / "mine" / "1"
    assert f"Exported {version}" in printed
    assert "tensorflow_model_server" in printed
    info = json.loads((version / "assets.extra" / "model_info.json").read_text())
    assert (info["name"], info["samples"], info["classes"]) == ("mine", 4, list(NAMES))
    assert info["verified"]["largest_difference"]["keras"] <= 1e-6
    assert sorted(path.name for path in version.parent.iterdir()) == ["1"]


def test_bad_flags_and_folders_end_in_one_line(tmp_path):
    for flags, message in [
        ([], "Expected flags as in --help"),
        ([tmp_path, "--output", tmp_path / "models"], "Expected a finished run of train.py"),
    ]:
        status, printed, errors = start(*flags)
        assert (status, printed) == (2, "")
        assert errors.startswith(f"export.py: {message}")
        assert errors.count("\n") == 1
