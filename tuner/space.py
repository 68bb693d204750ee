"""What a search may change, as data: a dimension of the space is one line of SPACE.

A dimension is a hyperparameter, or one of three that stand for others: `width` and `depth` together are `hidden_units`,
and `alpha_scale` is a multiple of the default of `alpha`, which depends on how many labels there are.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from tfadgm.config import OLD_NAMES, RUN, Config
from tfadgm.errors import InputError
from tfadgm.hyperparameters import AtLeast, Hyperparameter
from tfadgm.models import hyperparameters
from tfadgm.resolve import default_alpha


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, evenly on a `log` or `linear` scale; whole ones if both ends are."""

    low: int | float
    high: int | float
    scale: str = "linear"

    @property
    def ends(self) -> tuple[int | float, ...]:
        return self.low, self.high

    def nearest(self, value: Any) -> Any:
        """The value of the range that is nearest to `value`."""
        return min(max(value, self.low), self.high)

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}, {self.scale}"


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of a few values."""

    values: tuple[Any, ...]

    @property
    def ends(self) -> tuple[Any, ...]:
        return self.values

    def nearest(self, value: Any) -> Any:
        """`value` if it is one of them, else the nearest number, else the first."""
        if value in self.values or not all(type(own) in (int, float) for own in (value, *self.values)):
            return value if value in self.values else self.values[0]
        return min(self.values, key=lambda own: abs(own - value))

    def __str__(self) -> str:
        return ", ".join(json.dumps(value) for value in self.values)


Dimension = Range | Choice
Space = dict[str, Dimension]

SPACE: Space = {  # a model that lacks one does without it
    "learning_rate": Range(3e-4, 1e-2, "log"),
    "alpha_scale": Range(0.1, 10.0, "log"),
    "width": Range(100, 500, "log"),  # the published networks' at most: a bound asks for ever larger ones
    "depth": Range(1, 3),
    "latent_units": Range(2, 100, "log"),
    "auxiliary_units": Range(2, 100, "log"),
    "batch_norm": Choice((True, False)),
    "samples": Choice((1, 2)),
    "marginalization": Choice(("exact", "rao_blackwellised")),
    "labeled_batch": Choice((20, 50, 100)),
    "unlabeled_batch": Choice((50, 100, 200)),
    "vat_epsilon": Choice((0.0, 0.5, 1.0, 2.0, 4.0)),
    "distribution_alignment_weight": Choice((0.0, 1.0, 10.0)),
}
STANDS_FOR = {"width": "hidden_units", "depth": "hidden_units", "alpha_scale": "alpha"}
STAND_INS = {
    "width": Hyperparameter("width", int, AtLeast(1), "units of every hidden layer", 500),
    "depth": Hyperparameter("depth", int, AtLeast(0), "hidden layers", 2),
    "alpha_scale": Hyperparameter("alpha_scale", float, AtLeast(0), "alpha as a multiple of that of the preset", 1.0),
}
ALIASES = {"hidden": "hidden_units", **OLD_NAMES}
FLAGS = (
    "dataset",
    "data_dir",
    "target",
    "columns",
    "image_size",
    "strict",
    "labels",
    "seed",
    "model",
    "epochs",
)  # hyperparameters that have flags of their own


def dimensions(model: str) -> dict[str, Hyperparameter]:
    """What a search of `model` can fix, by name."""
    found = RUN | hyperparameters(model) | STAND_INS
    return {name: own for name, own in found.items() if name not in FLAGS}


def search_space(model: str, ranges: Space, fixed: dict[str, Any]) -> Space:
    """The space of `model` with `ranges` in place of its own, without what is `fixed`.

    Raises:
        InputError: if a range is of what is fixed, or nothing is left to search.
    """
    gone = {*fixed, *(name for name, field in STANDS_FOR.items() if field in fixed)}
    for name in ranges:
        if name in gone:
            raise InputError(f"Expected {name} to be either fixed or searched. Received both")
    own = dimensions(model)
    space = {name: dimension for name, dimension in (SPACE | ranges).items() if name in own and name not in gone}
    if not space:
        raise InputError("Expected something left to search. Received a space in which all is fixed")
    return space


def parse_fixed(texts: Iterable[str], model: str) -> dict[str, Any]:
    """`name=value` each, the value as in JSON or a plain word; names of version 0.1 too.

    Raises:
        InputError: if a name is none that a search of `model` can fix, or stands for another that is fixed too.
    """
    names, fixed = dimensions(model), {}
    for text in texts:
        name, _, value = text.partition("=")
        name = ALIASES.get(name, name)
        if name not in names or not value:
            raise InputError(f"Expected FIELD=VALUE with a field of {', '.join(sorted(names))}. Received: {text}")
        fixed[name] = _word(value)
    for name, field in STANDS_FOR.items():
        if name in fixed and field in fixed:
            raise InputError(f"Expected {name} or {field} to be fixed. Received both")
    return fixed


def parse_ranges(texts: Iterable[str], model: str) -> Space:
    """`name=low:high`, `name=low:high:log` or `name=value,value,...` each; names of version 0.1 too.

    Raises:
        InputError: if one is no range, or of what `model` does not have.
    """
    scalars = {name: own for name, own in dimensions(model).items() if not isinstance(own.default, tuple | None)}
    ranges = {}
    for text in texts:
        name, _, value = text.partition("=")
        name = ALIASES.get(name, name)
        if name not in scalars:
            raise InputError(f"Expected a range of one of {', '.join(sorted(scalars))}. Received: {name}")
        ranges[name] = _parse_range(text, value, scalars[name])
    return ranges


def _parse_range(text: str, value: str, own: Hyperparameter) -> Dimension:
    parts = value.split(":")
    if len(parts) == 1 and "," in value:
        values = tuple(_typed(_word(part), own) for part in value.split(","))
        if len(set(values)) == len(values):
            return Choice(values)
    elif len(parts) in (2, 3):
        low, high = (_typed(_word(part), own) for part in parts[:2])
        scale = parts[2] if len(parts) == 3 else "linear"
        numbers = all(type(end) in (int, float) and math.isfinite(end) for end in (low, high))
        if numbers and low < high and (scale == "linear" or (scale == "log" and low > 0)):
            return Range(low, high, scale)
    raise InputError(
        "Expected a range as NAME=LOW:HIGH or NAME=LOW:HIGH:log (above 0) with LOW below HIGH, or NAME=VALUE,VALUE of "
        f"distinct values. Received: {text}"
    )


def _typed(value: Any, own: Hyperparameter) -> Any:
    """A whole number as a real one where the hyperparameter is real."""
    return float(value) if own.kind is float and type(value) is int else value


def _word(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def in_float32(value: Any) -> Any:
    """A float as exact as Keras Tuner's protocol; anything else as it is."""
    return float(np.float32(value)) if isinstance(value, float) else value


def configured(base: Config, values: dict[str, Any], points: int, labels: int) -> Config:
    """`base` with the values of a trial, for a training on `labels` labels of `points` points.

    Raises:
        InputError: if a value cannot be used.
    """
    fields = {name: value for name, value in values.items() if name not in STANDS_FOR}
    if "width" in values or "depth" in values:
        width = values.get("width", base.hidden_units[0] if base.hidden_units else STAND_INS["width"].default)
        fields["hidden_units"] = (width,) * values.get("depth", len(base.hidden_units))
    if "alpha_scale" in values:
        usual = default_alpha(points, labels) if base.alpha is None else base.alpha
        fields["alpha"] = values["alpha_scale"] * usual
    return base.replace(**fields)


def preset_values(space: Space, base: Config) -> dict[str, Any]:
    """The values of `base`, or the nearest that the space has."""
    wanted = base.flat() | {
        "width": base.hidden_units[0] if base.hidden_units else STAND_INS["width"].default,
        "depth": len(base.hidden_units),
        "alpha_scale": 1.0,
    }
    return {name: dimension.nearest(wanted[name]) for name, dimension in space.items()}


def check(space: Space, base: Config) -> None:
    """Raises InputError, naming the dimension, if one of its ends cannot be used."""
    own = dimensions(base.model)
    for name, dimension in space.items():
        for end in dimension.ends:
            try:
                configured(base, {name: own[name].checked(end)}, points=100, labels=10)
            except InputError as error:
                raise InputError(f"Expected every value of the range of {name} to be usable. {error}") from None


def table(space: Space, fixed: dict[str, Any]) -> str:
    """What `--show-space` prints."""
    rows = {name: str(dimension) for name, dimension in space.items()}
    rows |= {name: f"{json.dumps(value)} (fixed)" for name, value in fixed.items()}
    return "\n".join(f"{name:<30}{text}" for name, text in rows.items())
