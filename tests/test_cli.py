"""What the commands share: every one of them tells its flags, and an absent extra is one line."""

import importlib
import os
import subprocess
import sys

import pytest

from tfadgm import cli
from tfadgm.errors import InputError, extra, line

COMMANDS = {
    "train": cli.train, "export": cli.export, "evaluate": cli.evaluate,
    **{name: cli.command(name) for name in ("inspect", "predict", "tune", "reproduce")},
}  # fmt: skip


def test_every_command_is_here():
    assert set(COMMANDS) == set(cli.COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_told(name, capsys):
    with pytest.raises(SystemExit) as ended:
        COMMANDS[name](["--help"])
    assert ended.value.code == 0
    assert "(default: " in (told := capsys.readouterr().out) or "--output FILE" in told


@pytest.mark.parametrize("flags", [[], ["paint"], ["--help"]])
def test_the_command_of_all_commands(monkeypatch, capsys, flags):
    monkeypatch.setattr(sys, "argv", ["tfadgm", *flags])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == (0 if flags == ["--help"] else 2)
    assert "usage: tfadgm {inspect,train,predict,export,evaluate,tune,reproduce}" in "".join(capsys.readouterr())


def test_a_command_gets_the_rest_of_the_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tfadgm", "train", "--model", "gan"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("tfadgm train: Expected model to be one of")


def test_an_absent_extra_is_told():
    with (
        pytest.raises(InputError, match=r"Expected the package colours. .* pip install 'tfadgm\[figures\]'"),
        extra("figures"),
    ):
        importlib.import_module("colours")


def test_letters_that_command_a_terminal_are_shown():
    assert line("\x1b]0;owned\x07 è") == "\\x1b]0;owned\\x07 è"


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("import sys; sys.platform = 'win32'", "Expected Linux or macOS. Received Windows"),
        ("import os; os.environ['KERAS_BACKEND'] = 'jax'", "Expected Keras on TensorFlow. Received KERAS_BACKEND=jax"),
    ],
)
def test_other_systems_are_told_in_one_line(setting, told):
    """Before anything is imported that does not exist there."""
    process = subprocess.run([sys.executable, "-c", f"{setting}; import tfadgm"], capture_output=True, text=True)
    assert process.returncode == 1
    assert process.stderr.count("\n") == 1
    assert told in process.stderr


def test_a_library_that_crashes_when_imported_is_heard(tmp_path):
    """Its own words are dropped with the lines about missing hardware, but not that it crashed, and where."""
    (tmp_path / "tensorflow.py").write_text("import os\nos.abort()\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import tfadgm"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.returncode < 0
    assert "Fatal Python error: Aborted" in process.stderr
    assert "tensorflow.py" in process.stderr


@pytest.mark.slow
def test_settings_of_keras_for_other_work_do_not_matter(tmp_path):
    (tmp_path / "keras.json").write_text('{"floatx": "float64", "backend": "jax"}')
    code = "import tfadgm, numpy; print(tfadgm.M2((2,), 2).predict(numpy.zeros([1, 2]), verbose=0).dtype)"
    environment = {**os.environ, "KERAS_HOME": str(tmp_path)}
    environment.pop("KERAS_BACKEND", None)
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert process.stdout.strip() == "float32"
