"""What the documentation says works: its Python runs, its command lines parse, its links lead somewhere."""

from __future__ import annotations

import argparse
import functools
import importlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfadgm
from experiments import readme
from experiments.__main__ import MODULES
from experiments.__main__ import main as experiment
from tests.docs.pages import PAGES, ROOT, anchors, commands, inline_code, links, name, python_blocks
from tfadgm import cli

pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions_eagerly`")
EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=name)
# Flags of other programs.
FOREIGN = {"--logdir", "--model_config_file_poll_wait_seconds"}
OF_0_1 = {"docs/upgrading.md", "CHANGELOG.md"}  # pages that tell of old names


# Python


def arrays(shape: tuple[int, ...], classes: int = 3) -> dict[str, Any]:
    """What a reader has: examples in [0, 1], a label for some of them."""
    random = np.random.default_rng(0)
    x, y = random.random([30, *shape], np.float32), np.arange(30) % classes
    return {
        "x_few": x[:6], "y_few": np.array(["left", "right", "straight"] * 2), "x_many": x[6:],
        "x": x, "y": np.where(np.arange(30) < 20, y, -1), "unlabeled": np.full(30, -1), "x_new": x[:24],
    }  # fmt: skip


READERS = {
    "README.md": arrays((5,)),
    "docs/data.md": arrays((5,)),
    "docs/density.md": arrays((8, 8)),
    "docs/training.md": arrays((28, 28, 1), classes=10),
}


@pytest.mark.parametrize("page", [page for page in PAGES if python_blocks(page)], ids=name)
def test_python_blocks_run(page, tiny, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for model in ("SDGM", "AVAE"):
        small = functools.partial(getattr(tfadgm, model), hidden_units=(4,), xla=False)
        monkeypatch.setattr(tfadgm, model, small)
    namespace = dict(READERS[name(page)])
    for block in python_blocks(page):
        exec(compile(block, name(page), "exec"), namespace)
    if name(page) == "README.md":
        assert set(namespace["labels"].tolist()) <= {0, 1, 2}
        assert namespace["probabilities"].shape == (24, 3)


# Commands


class Parsed(Exception):  # noqa: N818
    """The flags of a command were read; it does not go on."""


@pytest.fixture
def only_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends every command once it has read its flags."""
    read = argparse.ArgumentParser.parse_args

    def parse_args(self: argparse.ArgumentParser, arguments: Any = None, namespace: Any = None) -> Any:
        read(self, arguments, namespace)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)


def command(words: Sequence[str]) -> tuple[Callable[[Sequence[str]], None], Sequence[str]]:
    """The function that a command line calls, and its flags."""
    program, first, *rest = words
    if program == "tfadgm":
        return cli.command(first), rest
    if first != "-m":
        return {"train.py": cli.train, "export.py": cli.export}[first], rest
    module, *rest = rest
    modules = {"tuner": "tune", "tfadgm.evaluation": "evaluate", "tfadgm.reproduce": "reproduce"}
    modules |= {"tfadgm.inspect": "inspect", "tfadgm.predict": "predict"}
    return (experiment if module == "experiments" else cli.command(modules[module])), rest


@EVERY_PAGE
def test_command_lines_parse(page, only_parsed):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for words in commands(page):
        if words[0] == "make":
            assert words[1] in targets
        else:
            function, flags = command(words)
            with pytest.raises(Parsed):
                function(flags)


@EVERY_PAGE
def test_experiments_exist(page):
    told = re.findall(r"python -m experiments ([a-z]\w*)", page.read_text())
    assert set(told) <= set(MODULES)
    for module in told:
        importlib.import_module(f"experiments.{MODULES[module]}")


@pytest.fixture(scope="module")
def flags() -> dict[str, bool]:
    """Every flag of every command, and whether its help is told."""
    found: dict[str, bool] = {}

    def parse_args(self: argparse.ArgumentParser, arguments: Any = None, namespace: Any = None) -> Any:
        for action in self._actions:
            for flag in action.option_strings:
                found[flag] = found.get(flag, False) or action.help != argparse.SUPPRESS
        raise Parsed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
        for function in map(cli.command, cli.COMMANDS):
            with pytest.raises(Parsed):
                function([])
    return found


@EVERY_PAGE
def test_flags_exist(page, flags):
    told = {flag for code in inline_code(page) for flag in re.findall(r"(?<![\w-])--[a-z][\w-]*", code)}
    known = set(flags) if name(page) in OF_0_1 else {flag for flag, shown in flags.items() if shown}
    assert told - known - FOREIGN == set()


# Pages


@EVERY_PAGE
def test_links_lead_somewhere(page):
    for target, anchor in links(page):
        assert target.exists(), target
        assert not anchor or anchor in anchors(target), f"{target}#{anchor}"


@EVERY_PAGE
def test_tables_are_those_of_the_results(page):
    text = page.read_text()
    assert readme.filled(text) == text


@EVERY_PAGE
def test_names_are_those_of_today(page):
    if name(page) not in OF_0_1:
        assert "benchmarks" not in page.read_text()


def test_every_page_is_in_the_navigation():
    site = (ROOT / "mkdocs.yml").read_text()
    for page in PAGES:
        inside = page.relative_to(ROOT / "docs") if page.is_relative_to(ROOT / "docs") else Path(page.name)
        assert f": {inside.as_posix().replace('README', 'index')}\n" in site
