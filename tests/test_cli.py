"""What the commands share: every one of them tells its flags."""

import importlib
import sys

import pytest

from tfadgm.cli import exit_status

COMMANDS = ["train", "export", "tuner.__main__", "tfadgm.evaluation", "tfadgm.reproduce.__main__"]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_told(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        exit_status(name, importlib.import_module(name).main)
    assert ended.value.code == 0
    assert "(default: " in capsys.readouterr().out
