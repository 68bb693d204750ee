"""Files of results: numbers as results/NAME.json, with where they come from, and tables made of them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tfadgm.cli import Parser
from tfadgm.files import write_json
from tfadgm.provenance import ROOT, machine

RESULTS = ROOT / "results"


def parser(name: str, description: str | None) -> Parser:
    """That of `python -m experiments NAME`."""
    form = argparse.RawDescriptionHelpFormatter
    return Parser(prog=f"python -m experiments {name}", description=description, formatter_class=form)


def load(name: str) -> Any:
    """The result of that name; empty where it has not been measured."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def save(name: str, result: dict[str, Any], indent: int = 2) -> None:
    RESULTS.mkdir(exist_ok=True)
    write_json(RESULTS / f"{name}.json", result, indent)


def origin(command: str) -> dict[str, str]:
    """Which command made a result, and on what machine."""
    return {"command": f"python -m experiments {command}", "machine": machine()}


def command_of(result: dict[str, Any]) -> str:
    """The command that makes a result, by its name of today."""
    return result["command"].replace("benchmarks.mnist", "experiments mnist_100").replace("benchmarks.", "experiments ")


def table(header: str, rows: Iterable[Sequence[object]]) -> list[str]:
    """The lines of a Markdown table under the line `header`."""
    return [header, "|---" * (header.count("|") - 1) + "|", *(f"| {' | '.join(map(str, row))} |" for row in rows)]


def summary(rows: Sequence[dict[str, Any]], keys: Iterable[str]) -> dict[str, dict[str, float]]:
    """Mean and, of several rows, its standard error, by key."""
    values = {key: np.array([row[key] for row in rows]) for key in keys if rows}
    return {
        "mean": {key: round(float(own.mean()), 3) for key, own in values.items()},
        "standard_error": {
            key: round(float(own.std(ddof=1) / len(own) ** 0.5), 3) for key, own in values.items() if len(own) > 1
        },
    }


def with_error(result: dict[str, Any], key: str) -> str:
    """A mean of `summary` with its standard error; empty where there is none."""
    if key not in result["mean"]:
        return ""
    spread = result["standard_error"].get(key)
    return f"{result['mean'][key]:.2f}" + (f" ± {spread:.2f}" if spread else "")
