"""What a search may change, as data: a dimension of the space is one line of SPACE.

A dimension is a field of the configuration, or one of three that stand for fields: `width` and `depth` together are
`hidden_units`, and `alpha_scale` is a multiple of the default of `alpha`, which depends on how many labels there are.
"""

from __future__ import annotations

import dataclasses
import json
import math
import typing
from collections.abc import Iterable
from typing import Any

import keras_tuner
import numpy as np

from tfadgm.config import Config
from tfadgm.errors import InputError
from tfadgm.training import ALPHA_SCALE


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, evenly on a `log` or `linear` scale; whole ones if both ends are."""

    low: int | float
    high: int | float
    scale: str = "linear"

    @property
    def ends(self) -> tuple[int | float, ...]:
        return self.low, self.high

    def add_to(self, space: keras_tuner.HyperParameters, name: str) -> None:
        whole = isinstance(self.low, int) and isinstance(self.high, int)
        (space.Int if whole else space.Float)(name, self.low, self.high, sampling=self.scale)

    def nearest(self, value: Any) -> Any:
        """The value of the range that is nearest to `value`."""
        return min(max(value, self.low), self.high)

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}, {self.scale}"


def in_float32(value: Any) -> Any:
    """A float as exact as Keras Tuner's protocol; anything else as it is."""
    return float(np.float32(value)) if isinstance(value, float) else value


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of a few values."""

    values: tuple[Any, ...]

    @property
    def ends(self) -> tuple[Any, ...]:
        return self.values

    def add_to(self, space: keras_tuner.HyperParameters, name: str) -> None:
        if all(isinstance(value, bool) for value in self.values):
            space.Boolean(name)  # a Choice would make them 0 and 1
        else:
            space.Choice(name, [in_float32(value) for value in self.values], ordered=False)

    def nearest(self, value: Any) -> Any:
        """`value` if it is one of them, else the nearest number, else the first."""
        if value in self.values or not all(type(own) in (int, float) for own in (value, *self.values)):
            return value if value in self.values else self.values[0]
        return min(self.values, key=lambda own: abs(own - value))

    def __str__(self) -> str:
        return ", ".join(json.dumps(value) for value in self.values)


Dimension = Range | Choice
Space = dict[str, Dimension]

SPACE: Space = {
    "learning_rate": Range(3e-4, 1e-2, "log"),
    "alpha_scale": Range(0.1, 10.0, "log"),
    "width": Range(100, 500, "log"),  # the published networks' at most: a bound asks for ever larger ones
    "depth": Range(1, 3),
    "latent_units": Range(2, 100, "log"),
    "auxiliary_units": Range(2, 100, "log"),
    "batch_norm": Choice((True, False)),
    "warm_up": Choice((0, 5, 20)),
    "samples": Choice((1, 2)),
    "marginalization": Choice(("exact", "rao_blackwellised")),
    "labeled_batch": Choice((20, 50, 100)),
    "unlabeled_batch": Choice((50, 100, 200)),
    "adversarial_radius": Choice((0.0, 0.5, 1.0, 2.0, 4.0)),
    "prior_matching": Choice((0.0, 1.0, 10.0)),
}
ABSENT = {"m2": {"auxiliary_units"}}  # dimensions that a model does not have
STANDS_FOR = {"width": "hidden_units", "depth": "hidden_units", "alpha_scale": "alpha"}
SHORT = {"hidden": "hidden_units"}
OWN = {"dataset", "data_dir", "labels", "seed", "model", "epochs"}  # fields that have flags of their own


def search_space(model: str, ranges: Space, fixed: dict[str, Any]) -> Space:
    """The space of `model` with `ranges` in place of its own, without what is `fixed`.

    Raises:
        InputError: if a range is of no dimension or of a fixed one, or nothing is left to search.
    """
    space = {name: dimension for name, dimension in SPACE.items() if name not in ABSENT.get(model, set())}
    for name in ranges:
        if name not in space:
            raise InputError(f"Expected a range of one of {', '.join(space)}. Received: {name}")
        if name in fixed or STANDS_FOR.get(name) in fixed:
            raise InputError(f"Expected {name} to be either fixed or searched. Received both")
    space |= ranges
    space = {name: found for name, found in space.items() if name not in fixed and STANDS_FOR.get(name) not in fixed}
    if not space:
        raise InputError("Expected something left to search. Received a space in which all is fixed")
    return space


def parse_fixed(texts: Iterable[str]) -> dict[str, Any]:
    """`name=value` each, the value as in JSON or a plain word."""
    names = {field.name for field in dataclasses.fields(Config)} - OWN | set(STANDS_FOR)
    fixed = {}
    for text in texts:
        name, _, value = text.partition("=")
        name = SHORT.get(name, name)
        if name not in names or not value:
            raise InputError(f"Expected FIELD=VALUE with a field of {', '.join(sorted(names))}. Received: {text}")
        try:
            fixed[name] = json.loads(value)
        except json.JSONDecodeError:
            fixed[name] = value
    for name, field in STANDS_FOR.items():
        if name in fixed and field in fixed:
            raise InputError(f"Expected {name} or {field} to be fixed. Received both")
    return fixed


def parse_ranges(texts: Iterable[str]) -> Space:
    """`name=low:high`, `name=low:high:log` or `name=value,value,...` each."""
    return dict(map(_parse_range, texts))


def _parse_range(text: str) -> tuple[str, Dimension]:
    name, _, value = text.partition("=")
    parts = value.split(":")
    try:
        if len(parts) == 1 and "," in value:
            values = tuple(_typed(name, _word(part)) for part in value.split(","))
            if len(set(values)) == len(values):
                return name, Choice(values)
            raise ValueError
        low, high = (_typed(name, json.loads(part)) for part in parts[:2])
        scale = parts[2] if len(parts) == 3 else "linear"
        numbers = all(type(end) in (int, float) and math.isfinite(end) for end in (low, high))
        if (
            len(parts) in (2, 3)
            and scale in ("linear", "log")
            and numbers
            and low < high
            and (scale != "log" or low > 0)
        ):
            return name, Range(low, high, scale)
    except ValueError:
        pass
    raise InputError(
        "Expected a range as NAME=LOW:HIGH or NAME=LOW:HIGH:log (above 0) with LOW below HIGH, or NAME=VALUE,VALUE of "
        f"distinct values. Received: {text}"
    )


def _typed(name: str, value: Any) -> Any:
    """A whole number as a real one where the dimension is real."""
    real = name == "alpha_scale" or typing.get_type_hints(Config).get(name) is float
    return float(value) if real and type(value) is int else value


def _word(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def configured(base: Config, values: dict[str, Any], points: int, labels: int) -> Config:
    """`base` with the values of a trial, for a training on `labels` labels of `points` points.

    Raises:
        InputError: if a value cannot be used.
    """
    fields = {name: value for name, value in values.items() if name not in STANDS_FOR}
    if "width" in values or "depth" in values:
        width = values.get("width", base.hidden_units[0] if base.hidden_units else 500)
        fields["hidden_units"] = (width,) * values.get("depth", len(base.hidden_units))
    if "alpha_scale" in values:
        fields["alpha"] = values["alpha_scale"] * ALPHA_SCALE * points / labels
    return dataclasses.replace(base, **fields)


def preset_values(space: Space, base: Config, points: int, labels: int) -> dict[str, Any]:
    """The values of `base`, or the nearest that the space has."""
    alpha_scale = 1.0 if base.alpha is None else base.alpha / (ALPHA_SCALE * points / labels)
    width, depth = (base.hidden_units or (500,))[0], len(base.hidden_units)
    wanted = dataclasses.asdict(base) | {"width": width, "depth": depth, "alpha_scale": alpha_scale}
    return {name: dimension.nearest(wanted[name]) for name, dimension in space.items()}


def check(space: Space, base: Config) -> None:
    """Raises InputError, naming the dimension, if one of its ends cannot be used."""
    for name, dimension in space.items():
        for end in dimension.ends:
            try:
                if name == "depth" and (type(end) is not int or end < 0):
                    raise InputError(f"Expected depth to be a whole number, 0 or more. Received: {end}")
                configured(base, {name: end}, 100, 10)
            except (InputError, TypeError) as error:
                raise InputError(f"Expected every value of the range of {name} to be usable. {error}") from None


def hyperparameters(space: Space) -> keras_tuner.HyperParameters:
    """The space as Keras Tuner has it."""
    found = keras_tuner.HyperParameters()
    for name, dimension in space.items():
        dimension.add_to(found, name)
    return found


def table(space: Space, fixed: dict[str, Any]) -> str:
    """What `--show-space` prints."""
    rows = {name: str(dimension) for name, dimension in space.items()}
    rows |= {name: f"{json.dumps(value)} (fixed)" for name, value in fixed.items()}
    return "\n".join(f"{name:<20}{text}" for name, text in rows.items())
