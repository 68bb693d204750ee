"""Hyperparameters, declared once: as an annotated argument of the constructor that uses them.

    def __init__(self, *, alpha: Annotated[float, AtLeast(0), "weight of the classification term"] = 1.0): ...

`declared` reads name, type, range, help and default from there; flags, checks and `get_config` follow.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import typing
from collections.abc import Callable, Container, Hashable, Iterable
from typing import Any, cast

from tfadgm.errors import InputError

Units = tuple[int, ...]  # of hidden layers


@dataclasses.dataclass(frozen=True)
class Range:
    """Finite numbers between `low` and `high`; `above` and `below` leave out the end itself."""

    low: float
    high: float = math.inf
    above: bool = False
    below: bool = False

    def __contains__(self, value: Any) -> bool:
        lowest = self.low < value if self.above else self.low <= value
        return lowest and value < math.inf and (value < self.high if self.below else value <= self.high)

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{self.low:g}"
        if self.high == math.inf:
            return f"above {self.low:g}" if self.above else f"{self.low:g} or more"
        return f"{'above' if self.above else 'from'} {self.low:g} to {'below ' * self.below}{self.high:g}"


@dataclasses.dataclass(frozen=True)
class OneOf:
    """A name in `names`, which may grow."""

    names: Iterable[str]

    def __contains__(self, value: Any) -> bool:
        return value in tuple(self.names)

    def __str__(self) -> str:
        return f"one of {', '.join(self.names)}"


def AtLeast(low: float) -> Range:  # noqa: N802  reads as a type
    return Range(low)


def Above(low: float) -> Range:  # noqa: N802
    return Range(low, above=True)


@dataclasses.dataclass(frozen=True)
class Hyperparameter:
    """A named choice: its type, the values it may have, what it is, and its default."""

    name: str
    kind: Any
    allowed: Container[Any] | None
    help: str
    default: Any

    @property
    def kinds(self) -> tuple[Any, ...]:
        """The types that a value may have."""
        return (self.kind,) if self.kind == Units else typing.get_args(self.kind) or (self.kind,)

    def checked(self, value: Any) -> Any:
        """`value` as its type has it: lists become tuples.

        Raises:
            InputError: if it has another type or is out of range.
        """
        value = tuple(value) if isinstance(value, list) else value
        if not any(_fits(value, kind) for kind in self.kinds):
            names = " or ".join("a list of whole numbers" if kind == Units else kind.__name__ for kind in self.kinds)
            raise InputError(f"Expected {self.name} to be {names}. Received: {value!r}")
        parts = value if isinstance(value, tuple) else () if value is None else (value,)
        if self.allowed is not None and not all(part in self.allowed for part in parts):
            where = " in every layer" * isinstance(value, tuple)
            raise InputError(f"Expected {self.name} to be {self.allowed}{where}. Received: {value!r}")
        return value

    def prefixed(self, prefix: str) -> Hyperparameter:
        """The same, of a part whose name is `prefix`."""
        return dataclasses.replace(self, name=f"{prefix}_{self.name}")


def _fits(value: Any, kind: Any) -> bool:
    if kind == Units:
        return isinstance(value, tuple) and all(type(part) is int for part in value)
    return type(value) is kind or (kind is float and type(value) is int)


def arguments(cls: type) -> dict[str, inspect.Parameter]:
    """Every keyword-only argument of a class and its bases, the bases' first."""
    return _arguments(cast(Hashable, cls))


@functools.cache
def _arguments(cls: Any) -> dict[str, inspect.Parameter]:
    found: dict[str, inspect.Parameter] = {}
    for base in reversed(cls.__mro__):
        if "__init__" in vars(base) and base.__module__.split(".")[0] not in ("keras", "builtins"):
            found |= _keywords(vars(base)["__init__"])
    return found


def _keywords(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    hints = typing.get_type_hints(function, include_extras=True)
    return {
        name: parameter.replace(annotation=hints.get(name))
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def declared(cls: type) -> dict[str, Hyperparameter]:
    """The hyperparameters among the keyword-only arguments of a class and its bases, by name.

    A subclass that repeats an argument without annotation changes its default.
    """
    return _declared(cast(Hashable, cls))


@functools.cache
def _declared(cls: Any) -> dict[str, Hyperparameter]:
    found: dict[str, Hyperparameter] = {}
    for base in reversed(cls.__mro__):
        for name, parameter in arguments(base).items():
            if typing.get_origin(parameter.annotation) is typing.Annotated:
                found[name] = _read(name, parameter.annotation, parameter.default)
            elif name in found:
                found[name] = dataclasses.replace(found[name], default=parameter.default)
    return found


def of_dataclass(cls: type) -> dict[str, Hyperparameter]:
    """The annotated fields of a dataclass, by name."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {
        field.name: _read(field.name, hints[field.name], field.default)
        for field in dataclasses.fields(cls)
        if typing.get_origin(hints[field.name]) is typing.Annotated
    }


def _read(name: str, annotation: Any, default: Any) -> Hyperparameter:
    kind, *details = typing.get_args(annotation)
    allowed = next((detail for detail in details if not isinstance(detail, str)), None)
    return Hyperparameter(name, kind, allowed, next(detail for detail in details if isinstance(detail, str)), default)
