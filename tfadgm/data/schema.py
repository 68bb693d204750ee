"""What the columns of a table are, and their cells as numbers.

A cell becomes one float64, its code, NaN where it is missing: a number itself, a time in seconds since 1970 (UTC), a
category its place among the categories of its column. `tfadgm.nn.tables` makes of codes what the networks see.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tfadgm.errors import InputError, line
from tfadgm.nn.tables import GAPS, LARGEST

KINDS = "numeric", "binary", "categorical", "date"
DROPPED = "identifier", "text", "constant", "empty", "drop"
MOST_CATEGORIES = 50  # of a column; rarer ones are one category
RAREST = 3  # rows of a category that stands for itself in a table of RARE_ROWS or more
RARE_ROWS = 200
FEW_ROWS = 20  # below which distinct values say nothing
DISTINCT = 0.9  # share of distinct words from which a column names its rows
WORDS = 3.0  # mean number of words from which such a column is text
NUMBERS = 0.95  # share of numbers from which a column is numeric; what is left are STRAY words for a gap
STRAY = 3
DATE = re.compile(r"\d{4}-\d\d-\d\d.*|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}.*")
IDENTIFIER = re.compile(r"(.*[\W_])?(id|uuid|guid|index|row|unnamed: 0)", re.IGNORECASE)
COMMA = re.compile(r"\s*[-+]?\d+,\d+\s*")  # a decimal comma
NO_NUMBERS = ("-", "?")  # a missing cell among numbers; among words they may be categories


@dataclasses.dataclass(frozen=True)
class Column:
    """A column that the model sees.

    Args:
        name: in the head of the table.
        kind: one of KINDS.
        values: the categories; of a binary column two, of numbers as text.
        other: whether categories that are not among `values` count as one more, and not as missing.
        numbers: whether the cells of a binary column are numbers.
    """

    name: str
    kind: str
    values: tuple[str, ...] = ()
    other: bool = False
    numbers: bool = False

    @property
    def is_text(self) -> bool:
        """Whether its cells are text, as a client sends them."""
        return self.kind in ("categorical", "date") or (self.kind == "binary" and not self.numbers)

    @property
    def size(self) -> int:
        """Of a categorical column, how many categories there are."""
        return len(self.values) + self.other

    def code(self, cells: pd.Series) -> np.ndarray:
        """The codes of cells [N], float64, NaN where a cell is missing or unknown."""
        if self.kind == "numeric":
            return numbers(cells)
        if self.kind == "date":
            return seconds(cells)
        if self.numbers:
            found = numbers(cells)
            low, high = map(float, self.values)
            return np.where(found == high, 1.0, np.where(found == low, 0.0, np.nan))
        places = {value: float(place) for place, value in enumerate(self.values)}
        unknown = float(len(self.values)) if self.other else np.nan
        return np.array([np.nan if cell is None else places.get(cell, unknown) for cell in words(cells)])


@dataclasses.dataclass(frozen=True)
class Schema:
    """The columns that a model sees, in their order, and those that it does not, with the reason."""

    columns: tuple[Column, ...]
    dropped: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def code(self, frame: pd.DataFrame, where: str = "the table") -> np.ndarray:
        """The codes of a table, [N, columns] float64. Raises InputError if a column is missing."""
        missing = [column.name for column in self.columns if column.name not in frame.columns]
        if missing:
            raise InputError(f"Expected the columns of training in {where}. Received none called {missing[0]!r}")
        return np.stack([column.code(frame[column.name]) for column in self.columns], 1)

    def to_json(self) -> list[dict[str, Any]]:
        """The columns as lists and dictionaries."""
        return [dataclasses.asdict(column) | {"values": list(column.values)} for column in self.columns]

    @classmethod
    def from_json(cls, columns: Iterable[Mapping[str, Any]]) -> Schema:
        return cls(tuple(Column(**{**column, "values": tuple(column["values"])}) for column in columns))

    def lines(self) -> list[str]:
        """What a user should know of the columns, a line each."""
        told = []
        for column in self.columns:
            of = f": {', '.join(map(line, column.values[:5]))}{', ...' * (len(column.values) > 5)}" * bool(
                column.values
            )
            told.append(f"{line(column.name)}: {column.kind}{of}{' and rarer ones' * column.other}")
        return told + [f"{line(name)}: left out, {reason}" for name, reason in self.dropped.items()]


def infer(frame: pd.DataFrame, asked: Mapping[str, str] | None = None) -> Schema:
    """The schema of a table, fitted to all its rows; `asked` names the kinds of columns that a user knows better.

    Raises:
        InputError: if a kind or a column is unknown, a column cannot be what is asked, or none is left.

    Examples:
        >>> frame = pd.DataFrame({"age": ["31", "", "47.5"], "sex": ["f", "m", "f"], "at": ["2024-01-02"] * 3})
        >>> infer(frame).lines()
        ['age: numeric', 'sex: binary: f, m', 'at: left out, constant']
    """
    asked = dict(asked or {})
    for name, kind in asked.items():
        if name not in frame.columns:
            raise InputError(f"Expected columns of the table in --columns. Received: {name!r}")
        if kind not in (*KINDS, *DROPPED, "id"):
            raise InputError(
                f"Expected a column to be one of {', '.join((*KINDS, 'drop'))}. Received: {line(name)}={line(kind)}"
            )
    columns, dropped = [], {}
    for name in frame.columns:
        cells = frame[name]
        kind = asked.get(name) or kind_of(name, cells)
        if kind in KINDS:
            columns.append(make_column(name, kind, cells))
        else:
            dropped[name] = "as asked" if name in asked else kind
    if not columns:
        raise InputError(
            "Expected a column to learn from. Received: "
            + ", ".join(f"{line(name)} ({why})" for name, why in list(dropped.items())[:12])
        )
    return Schema(tuple(columns), dropped)


def kind_of(name: str, cells: pd.Series) -> str:
    """What a column looks like: one of KINDS, or why it is of no use."""
    found = words(cells)
    known = [cell for cell in found if cell is not None]
    distinct = set(known)
    if len(distinct) < 2:
        return "empty" if not distinct else "constant" if len(known) == len(found) else "categorical"
    if _are_numbers(known):
        values = numbers(cells)
        whole = values[np.isfinite(values)]
        different = np.unique(whole)
        if len(different) < 2:
            return "constant"
        if len(different) == len(whole) > FEW_ROWS and (whole == np.rint(whole)).all():
            steps = np.diff(whole)
            if IDENTIFIER.fullmatch(name) or (steps == 1).all():
                return "identifier"
        two = len(different) == 2 and (len(whole) >= FEW_ROWS or different.tolist() == [0, 1])
        return "binary" if two else "numeric"
    if all(DATE.fullmatch(cell) for cell in known) and np.isfinite(seconds(cells)).sum() >= NUMBERS * len(known):
        return "date"
    if len(distinct) == 2:
        return "binary"
    if len(known) > FEW_ROWS and len(distinct) >= DISTINCT * len(known):
        return "text" if np.mean([len(cell.split()) for cell in known]) >= WORDS else "identifier"
    return "categorical"


def make_column(name: str, kind: str, cells: pd.Series) -> Column:
    """The column `name` as `kind`, with its categories. Raises InputError if its cells do not allow that."""
    if kind in ("numeric", "date"):
        if not np.isfinite((numbers if kind == "numeric" else seconds)(cells)).any():
            raise InputError(f"Expected column {name!r} to hold {kind} values. Received none")
        return Column(name, kind)
    known = [cell for cell in words(cells) if cell is not None]
    if kind == "binary" and _are_numbers(known):
        values = np.unique(numbers(cells)[np.isfinite(numbers(cells))])
        if len(values) == 2:
            return Column(name, kind, tuple(f"{value:.17g}" for value in values), numbers=True)
    values, counts = np.unique(np.array(known, np.str_), return_counts=True)
    if kind == "binary" and len(values) != 2:
        raise InputError(f"Expected column {name!r} to hold two values, as it is binary. Received: {len(values)}")
    order = np.argsort(-counts, kind="stable")[:MOST_CATEGORIES]
    least = RAREST if len(cells) >= RARE_ROWS else 1
    kept = sorted(str(values[place]) for place in order if counts[place] >= least)
    return Column(name, kind, tuple(kept), other=len(kept) < len(values))


def words(cells: pd.Series) -> list[str | None]:
    """Cells as text, None where one is missing. Whole numbers have no point."""
    if pd.api.types.is_float_dtype(cells):
        cells = pd.Series(
            [None if np.isnan(cell) else _number_word(cell) for cell in cells.to_numpy(float)], dtype=object
        )
    found = [None if missing else str(cell).strip() for cell, missing in zip(cells, cells.isna(), strict=True)]
    return [None if cell is None or cell.lower() in GAPS else cell for cell in found]


def numbers(cells: pd.Series) -> np.ndarray:
    """Cells as float64, NaN where one is none or not below LARGEST. A comma may stand for the decimal point."""
    if pd.api.types.is_bool_dtype(cells) or pd.api.types.is_numeric_dtype(cells):
        found = cells.to_numpy(np.float64, na_value=np.nan)
    else:
        text = [
            None if cell is None else cell.replace(",", ".") if COMMA.fullmatch(cell) else cell for cell in words(cells)
        ]
        found = pd.to_numeric(pd.Series(text, dtype=object), errors="coerce").to_numpy(np.float64, na_value=np.nan)
    return np.where(np.abs(found) < LARGEST, found, np.nan)


def seconds(cells: pd.Series) -> np.ndarray:
    """Times as seconds since 1970 (UTC), NaN where a cell is none."""
    if pd.api.types.is_datetime64_any_dtype(cells):
        found = pd.to_datetime(cells, utc=True)
    else:
        text = pd.Series(words(cells), dtype=object)
        found = pd.to_datetime(text, errors="coerce", utc=True, format="mixed")
    moments = found.to_numpy("datetime64[ns]")
    return np.where(np.isnat(moments), np.nan, moments.astype(np.int64) / 1e9)


def parse_columns(text: str | None) -> dict[str, str]:
    """`age=numeric,id=drop` as a dictionary. Raises InputError if a part is none of that kind."""
    found = {}
    for part in (text or "").split(",") if text else ():
        name, sign, kind = part.rpartition("=")
        if not sign or not name:
            raise InputError(f"Expected --columns NAME=KIND,... Received: {part!r}")
        found[name.strip()] = kind.strip()
    return found


def _are_numbers(known: Sequence[str]) -> bool:
    """Whether cells are numbers, but for a few words that stand for a gap."""
    known = [cell for cell in known if cell not in NO_NUMBERS]
    if not known:
        return False
    found = np.isfinite(numbers(pd.Series(known, dtype=object)))
    stray = {cell for cell, number in zip(known, found, strict=True) if not number}
    return found.mean() >= NUMBERS and len(stray) <= STRAY


def _number_word(number: float) -> str:
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(float(number))
