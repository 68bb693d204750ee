"""Which values of a target are classes, and which say that there is no label."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfadgm.data.dataset import UNLABELED
from tfadgm.errors import InputError, line

MOST_CLASSES = 1000
# What people write where there is no label, in lower case; also what such a marker becomes when it goes through text.
NO_LABEL = ("", "-1", "-1.0", "nan", "none", "null", "na", "n/a", "<na>", "nat")
DOUBTFUL = ("?", "unknown", "unlabeled", "unlabelled", "missing")  # taken for no label, and told


@dataclasses.dataclass(frozen=True)
class Classes:
    """The classes of a target.

    Args:
        names: one a class.
        codes: the class of each value that stands for one.
        notes: what a user should know of how the target was read.
    """

    names: tuple[str, ...]
    codes: dict[int | str, int]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, y: np.ndarray, key: str = "y", names: Sequence[str] | None = None) -> Classes:
        """The classes of labels y [N]: whole numbers, booleans or text.

        Args:
            y: labels; -1, NaN, None and the usual text for a gap are none.
            key: what the labels are called in errors.
            names: of the classes, where y holds names or indices into them; by default the sorted values of y.

        Raises:
            InputError: if y holds anything else, or the classes are not 2 to MOST_CLASSES.

        Examples:
            >>> Classes.of(np.array(["no", "", "yes"])).names
            ('no', 'yes')
            >>> Classes.of(np.array([7, -1, 40])).encode(np.array([40, -1, 7])).tolist()
            [1, -1, 0]
        """
        values, _ = _distinct(y, key)
        found = sorted(
            {value for value in values if value is not None}, key=lambda value: (isinstance(value, str), value)
        )
        doubtful = {str(value) for value in set(y.tolist()) if str(value).strip().lower() in DOUBTFUL}
        notes = tuple(f"{key}: {value!r} is taken for no label" for value in sorted(doubtful))
        if names is None:
            names, codes = tuple(map(str, found)), {value: index for index, value in enumerate(found)}
        else:
            names = _checked_names(names)
            by_index = bool(found) and all(isinstance(value, int) for value in found)
            codes = {index if by_index else name: index for index, name in enumerate(names)}
        if not 2 <= len(names) <= MOST_CLASSES:
            beside = ", beside rows whose label is a gap or -1, which stands for none" * (None in values)
            raise InputError(f"Expected 2 to {MOST_CLASSES} classes in {key}. Received: {len(names)}{beside}")
        classes = cls(names, codes, notes)
        missing = np.setdiff1d(np.arange(len(names)), classes.encode(y, key))
        if len(missing):
            raise InputError(
                f"Expected at least one label of every class in {key}. Received none of class {names[missing[0]]!r}"
            )
        return classes

    def encode(self, y: np.ndarray, key: str = "y") -> np.ndarray:
        """The class of each label of y [N] as int64, UNLABELED where there is none.

        Raises:
            InputError: if a label is of no class.
        """
        values, inverse = _distinct(y, key)
        if all(isinstance(code, str) for code in self.codes):
            values = [value if value is None else str(value) for value in values]
        foreign = next((value for value in values if value is not None and value not in self.codes), None)
        if foreign is not None:
            first = [*self.codes][:5]
            raise InputError(
                f"Expected every label of {key} to be one of {len(self.names)} classes {first} ... that have a label. "
                f"Received: {foreign!r}"
            )
        codes = np.array([UNLABELED if value is None else self.codes[value] for value in values], np.int64)
        return codes[inverse] if len(codes) else np.zeros(0, np.int64)


def _distinct(y: np.ndarray, key: str) -> tuple[list[int | str | None], np.ndarray]:
    """The distinct labels of y [N], None for no label, and which of them each row has, [N]."""
    if y.ndim != 1 or y.dtype.kind not in "buifUSO":
        raise InputError(f"Expected {key} to hold whole numbers or text, one a row. Received: {y.dtype} of {y.shape}")
    if y.dtype.kind == "O":
        raw, inverse = y.tolist(), np.arange(len(y))
    else:
        distinct, inverse = np.unique(y, return_inverse=True)
        raw = distinct.tolist()
    values = [_label(value, key) for value in raw]
    if any(isinstance(value, str) for value in values):  # numbers among text are text
        values = [value if value is None else str(value) for value in values]
    return values, inverse


def _label(value: Any, key: str) -> int | str | None:
    """A label as a whole number or text; None where there is none."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, str):
        text = value.strip()
        return None if text.lower() in (*NO_LABEL, *DOUBTFUL) else text
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if value is None or str(value) in ("<NA>", "NaT", "nan"):
        return None
    if isinstance(value, (int, float, np.integer, np.floating)) and float(value).is_integer():
        return None if value == -1 else int(value)
    raise InputError(f"Expected {key} to hold whole numbers or text. Received: {line(value)!r}: is it not a class?")


def _checked_names(names: Any) -> tuple[str, ...]:
    found = np.asarray(names)
    if found.ndim != 1 or found.dtype.kind != "U" or len(np.unique(found)) != len(found):
        raise InputError(f"Expected class_names to hold distinct strings. Received: {found.dtype} {found.tolist()}")
    return tuple(found.tolist())
