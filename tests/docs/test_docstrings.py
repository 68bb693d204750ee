"""The examples in docstrings: they run, and every public class has one."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfadgm
from tests.docs.pages import ROOT
from tfadgm import models
from tfadgm.nn import conditionals

pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions_eagerly`")
PUBLIC = (
    "models/*.py", "nn/*.py", "data/dataset.py", "config.py", "run.py", "inference/sampling.py",
    "inference/regularizers.py",
)  # fmt: skip


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


WITH_EXAMPLES = [
    module_name(path)
    for path in sorted((ROOT / "tfadgm").rglob("*.py"))
    if re.search("^ +>>> ", path.read_text(), re.M)
]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_run(name, tiny, tmp_path):
    module = importlib.import_module(name)
    names: dict[str, Any] = {"np": np, "tf": tf, "keras": keras, "tfadgm": tfadgm, "tmp_path": tmp_path}
    names |= {key: value for part in (conditionals, models, tfadgm) for key, value in vars(part).items()}
    runner, told = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS), []
    for example in doctest.DocTestFinder().find(module, extraglobs=names | vars(module)):
        runner.run(example, out=told.append)
    assert not runner.failures, "".join(told)
    assert runner.tries


def public_classes() -> list[type]:
    paths = [path for pattern in PUBLIC for path in sorted((ROOT / "tfadgm").glob(pattern))]
    modules = [importlib.import_module(module_name(path)) for path in paths]
    own = [cls for module in modules for _, cls in inspect.getmembers(module, inspect.isclass)
           if cls.__module__ == module.__name__ and not cls.__name__.startswith("_")]  # fmt: skip
    return list(dict.fromkeys([*(getattr(tfadgm, name) for name in tfadgm.__all__), *own]))


def test_every_public_class_has_an_example():
    assert [cls.__name__ for cls in public_classes() if ">>> " not in (vars(cls).get("__doc__") or "")] == []
