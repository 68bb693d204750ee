"""Which commit made a result, in repositories made for the test."""

import subprocess

import pytest

from tfadgm import provenance


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    return tmp_path


def git(root, *command: str) -> str:
    author = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    return subprocess.run(["git", *author, *command], cwd=root, capture_output=True, text=True, check=True).stdout


def test_outside_of_a_repository_the_commit_is_unknown(root):
    (root / "results").mkdir()
    assert provenance.commit() == "unknown"


def test_a_tree_that_differs_is_marked_but_for_its_results(root):
    git(root, "init")
    (root / "code.py").write_text("")
    git(root, "add", ".")
    git(root, "commit", "-m", "first")
    name = git(root, "rev-parse", "--short=12", "HEAD").strip()
    (root / "results").mkdir()
    (root / "results" / "new.json").write_text("{}")
    assert provenance.commit() == name
    (root / "new.py").write_text("")
    assert provenance.commit() == f"{name}-dirty"
