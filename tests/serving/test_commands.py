"""What an export prints, and `export.py` as a user calls it."""

import base64
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from importlib import util
from pathlib import Path

import pytest

from tests.serving.conftest import NAMES, info_of
from tfadgm import cli
from tfadgm.errors import InputError
from tfadgm.serving import configs, verification, warmup
from tfadgm.serving.commands import instructions

ROOT = Path(__file__).parents[2]


@pytest.fixture
def told(tmp_path, exported) -> tuple[Path, str]:
    """An export in a folder whose name a shell would take apart, and its instructions."""
    path = tmp_path / "it's here $HOME" / "tiny" / "1"
    (path / "assets.extra").mkdir(parents=True)
    shutil.copy(exported / "assets.extra" / "model_info.json", path / "assets.extra")
    return path, instructions(path)


def change(path: Path, **changes) -> None:
    (path / "assets.extra" / "model_info.json").write_text(json.dumps(info_of(path) | changes))


def command(text: str, program: str) -> str:
    """The lines of the text from the one that begins with `program`, as a user copies them."""
    lines = text.splitlines()
    first = next(number for number, line in enumerate(lines) if line.strip().startswith(program))
    last = next(number for number in range(first, len(lines)) if not lines[number].endswith("\\"))
    return "\n".join(lines[first : last + 1])


def test_commands_name_the_files_whatever_a_folder_is_called(told):
    path, text = told
    output = path.parents[1]
    for program in ("tensorflow_model_server", "docker run"):
        words = shlex.split(command(text, program))
        for flag, file in (
            ("model_config", "models"),
            ("monitoring_config", "monitoring"),
            ("batching_parameters", "batching"),
        ):
            assert f"--{flag}_file={output / file}.config" in words
    assert f"{output}:{output}:ro" in shlex.split(command(text, "docker run"))


def test_the_request_that_is_printed_is_one(told, tmp_path):
    """A stand-in for curl tells what a shell made of the command."""
    curl = tmp_path / "curl"
    curl.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    curl.chmod(0o755)
    image = bytes(range(256)) * 2  # of more than one line in base64
    (tmp_path / "image.png").write_bytes(image)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    printed = subprocess.check_output(["sh", "-c", command(told[1], "curl")], cwd=tmp_path, env=environment, text=True)
    flag, body, url = printed.splitlines()
    assert (flag, url) == ("-d", "http://localhost:8501/v1/models/tiny:predict")
    request = json.loads(body)
    assert request["signature_name"] == "predict_bytes"
    assert base64.b64decode(request["instances"][0]["b64"]) == image
    assert "-w0" not in told[1]  # which only GNU's base64 has


def test_instructions_tell_what_was_verified(told):
    path, text = told
    for part in ("urllib.request", "and through the C API", "the server itself was not run", "Temperature 1.50\n"):
        assert part in text
    change(path, calibration={"temperature": 1.0, "left_out": "no examples"}, feature_shape=[6])
    found = info_of(path)["verified"] | {"loaders": ["session"], "left_out": "Received: no library"}
    change(path, verified=found)
    text = instructions(path)
    assert "in a Session, and not through the C API. Received: no library. That" in text
    assert "Temperature 1.00: no examples\n" in text
    assert json.loads(shlex.split(command(text, "curl"))[2]) == {"instances": [[0.0] * 6]}


@pytest.mark.parametrize("module", [configs, warmup])
def test_without_the_packages_of_serving_one_line_says_so(monkeypatch, module):
    monkeypatch.setitem(sys.modules, "tensorflow_serving", None)
    for name in [name for name in sys.modules if name.startswith("tensorflow_serving.")]:
        monkeypatch.delitem(sys.modules, name)
    spec = util.spec_from_file_location("fresh", module.__file__)
    with pytest.raises(InputError, match=r"Expected the package tensorflow_serving.* pip install 'tfadgm\[serve\]'"):
        spec.loader.exec_module(util.module_from_spec(spec))


def export(capsys, *flags: object) -> tuple[int, str, str]:
    status = cli.exit_status("export.py", lambda: cli.export([str(flag) for flag in flags]))
    return status, *capsys.readouterr()


def test_a_run_is_exported_under_its_name(tmp_path, run_dir, unverified, capsys):
    status, printed, errors = export(capsys, run_dir, "--output", tmp_path / "models", "--samples", 4)
    assert (status, errors) == (0, "")
    assert "tensorflow_model_server" in printed
    info = info_of(tmp_path / "models" / "mine" / "1")
    assert (info["name"], info["samples"], info["classes"]) == ("mine", 4, list(NAMES))


def test_bad_flags_and_folders_end_in_one_line(tmp_path, capsys):
    for flags, message in [
        ([], "Expected flags as in --help"),
        ([tmp_path, "--output", tmp_path / "models"], "Expected a finished run"),
    ]:
        status, printed, errors = export(capsys, *flags)
        assert (status, printed) == (2, "")
        assert errors.startswith(f"export.py: {message}")
        assert errors.count("\n") == 1


def test_an_export_that_is_interrupted_leaves_nothing(tmp_path, run_dir, unverified, monkeypatch, capsys):
    def stop(path, servable=None):
        assert (path / "assets.extra" / "model_info.json").exists()
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(verification, "verify", stop)
    kept = signal.getsignal(signal.SIGTERM)
    try:
        status, _, errors = export(capsys, run_dir, "--output", tmp_path / "models")
    finally:
        signal.signal(signal.SIGTERM, kept)
    assert (status, errors) == (130, "\nexport.py: interrupted.\n")
    assert not list((tmp_path / "models").iterdir())


def start(*flags: object) -> subprocess.Popen:
    command = [sys.executable, str(ROOT / "export.py"), *map(str, flags)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_two_exports_at_once_become_two_versions(tmp_path, run_dir):
    processes = [start(run_dir, "--output", tmp_path / "models", "--samples", 4) for _ in range(2)]
    for process in processes:
        _, errors = process.communicate()
        assert (process.returncode, errors) == (0, "")
    folder = tmp_path / "models" / "mine"
    assert sorted(path.name for path in folder.iterdir()) == ["1", "2"]
    for version in folder.iterdir():
        assert info_of(version)["verified"]["largest_difference"]["keras"] <= 1e-6
    assert (tmp_path / "models" / "models.config").read_text().count("base_path") == 1


@pytest.mark.slow
def test_a_stopped_export_leaves_nothing(tmp_path, run_dir):
    process = start(run_dir, "--output", tmp_path / "models")
    while not list((tmp_path / "models").glob("mine/.partial-*/assets.extra/model_info.json")):
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate()
    assert (process.returncode, errors) == (130, "\nexport.py: interrupted.\n")
    assert not list((tmp_path / "models").iterdir())
