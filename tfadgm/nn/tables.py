"""Mixed columns of a table for the networks, and back.

A row that the networks see has, in this order,

    numeric columns (and dates)   standardised, 0 where missing
    binary columns                0 or 1, 0 where missing
    missing                       1 for each of those that is missing, else 0
    categorical columns           a place for each category, all 0 where missing
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfadgm.nn.preprocessing import draw_in, drawn_out, standardization

GAPS = ("", "nan", "none", "null", "na", "n/a", "<na>", "nat")  # a missing cell, in lower case
OTHER = "(other)"
LARGEST = 1e38  # what float32 can hold; a larger number is missing
DAYS = 719_468  # from 0000-03-01 to 1970-01-01


class TableEncoding(keras.layers.Layer):
    """Codes of cells [B, columns], NaN where one is missing, or raw columns by name, to what the networks see.

    Args:
        columns: those of a `tfadgm.data.schema.Schema`, as its `to_json` has them.

    Raises:
        ValueError: on a call, if there are other columns.

    Examples:
        >>> column = {"values": (), "other": False, "numbers": False}
        >>> table = TableEncoding([{"name": "age", "kind": "numeric", **column}])
        >>> table.build()
        >>> table.adapt(np.array([[30.0], [50.0], [np.nan]]))
        >>> table(np.array([[50.0], [np.nan]])).numpy().tolist()
        [[1.0, 0.0], [0.0, 1.0]]
        >>> table({"age": np.array([30.0])}).numpy().tolist()
        [[-1.0, 0.0]]
    """

    def __init__(self, columns: Sequence[Mapping[str, Any]], **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.columns = [dict(column) for column in columns]
        kinds = [{"date": "numeric"}.get(column["kind"], column["kind"]) for column in columns]
        self.numeric, self.binary, self.categorical = (
            [place for place, kind in enumerate(kinds) if kind == wanted]
            for wanted in ("numeric", "binary", "categorical")
        )
        self.sizes = [len(columns[place]["values"]) + columns[place]["other"] for place in self.categorical]
        self.scalars = len(self.numeric) + len(self.binary)
        self.units = 2 * self.scalars + sum(self.sizes)
        self.feature_shape, self.feature_dtype = (len(columns),), "float64"

    def build(self, input_shape: Any = None) -> None:
        for name, start in (("shift", "zeros"), ("shift_rest", "zeros"), ("scale", "ones")):
            weight = self.add_weight(shape=[len(self.numeric)], initializer=start, trainable=False, name=name)
            setattr(self, name, weight)

    def adapt(self, codes: np.ndarray, likelihood: str = "mixed", dequantize: bool = False) -> None:
        """Fits to codes [N, columns]: numeric columns to mean 0 and variance 1 without their outliers."""
        moments = [_moments(codes[:, place]) for place in self.numeric]
        shift, scale = np.array(moments, np.float64).reshape(-1, 2).T
        self.shift.assign(shift)
        self.shift_rest.assign(shift - shift.astype(np.float32))
        self.scale.assign(scale)

    def call(self, x: Any) -> tf.Tensor:
        codes = self.code(x) if isinstance(x, Mapping) else tf.cast(x, tf.float64)
        if codes.shape.rank != 2 or not codes.shape[1:].is_compatible_with(self.feature_shape):
            raise ValueError(f"Expected codes of {len(self.columns)} columns. Received: shape {tuple(codes.shape)}")
        numeric, binary = (
            tf.gather(codes, np.array(places, np.int32), axis=1) for places in (self.numeric, self.binary)
        )
        shifts = tf.cast(self.shift, tf.float64), tf.cast(self.shift_rest, tf.float64)
        numeric = draw_in(tf.cast(numeric - shifts[0] - shifts[1], tf.float32) / self.scale)
        scalars = tf.concat([numeric, tf.cast(binary, tf.float32)], 1)
        missing = tf.math.is_nan(scalars)
        parts = [tf.where(missing, 0.0, scalars), tf.cast(missing, tf.float32)]
        for place, size in zip(self.categorical, self.sizes, strict=True):
            code = codes[:, place]
            parts.append(tf.one_hot(tf.where(tf.math.is_nan(code), -1, tf.cast(code, tf.int32)), size))
        return tf.concat(parts, 1)

    def free(self, x: tf.Tensor) -> tf.Tensor:
        """1 where a small change of x [B, units] is one of a cell that is there, else 0."""
        known = 1 - x[:, self.scalars : 2 * self.scalars]
        blocks = tf.split(x[:, 2 * self.scalars :], self.sizes, 1) if self.sizes else []
        told = [tf.repeat(tf.reduce_sum(block, 1, keepdims=True), block.shape[1], 1) for block in blocks]
        return tf.concat([known, tf.zeros_like(known), *told], 1)

    def invert(self, rows: tf.Tensor) -> tf.Tensor:
        """The codes [B, columns] of rows [B, units]: categories the most probable, nothing missing."""
        values, blocks = rows[:, : self.scalars], rows[:, 2 * self.scalars :]
        numeric = tf.cast(drawn_out(values[:, : len(self.numeric)]) * self.scale, tf.float64)
        numeric += tf.cast(self.shift, tf.float64) + tf.cast(self.shift_rest, tf.float64)
        binary = tf.cast(values[:, len(self.numeric) :] > 0.5, tf.float64)
        parts = [numeric, binary]
        for block in tf.split(blocks, self.sizes, 1) if self.sizes else []:
            parts.append(tf.cast(tf.argmax(block, 1), tf.float64)[:, None])
        order = np.argsort([*self.numeric, *self.binary, *self.categorical])
        return tf.gather(tf.concat(parts, 1), order, axis=1)

    # Raw columns, as a client sends and gets them.

    @property
    def dtypes(self) -> dict[str, str]:
        """The type of each raw column."""
        return {column["name"]: "string" if _is_text(column) else "float64" for column in self.columns}

    def code(self, raw: Mapping[str, Any]) -> tf.Tensor:
        """The codes [B, columns] of raw columns [B] by name: numbers as float64, text and times as strings.

        A missing number is NaN, a missing string empty. Times are as in ISO 8601, in UTC.
        """
        absent = [column["name"] for column in self.columns if column["name"] not in raw]
        if absent:
            raise ValueError(f"Expected the columns of training. Received none called {absent[0]!r}")
        return tf.stack([self._code(column, raw[column["name"]]) for column in self.columns], 1)

    def _code(self, column: Mapping[str, Any], cells: Any) -> tf.Tensor:
        values, kind = column["values"], column["kind"]
        if not _is_text(column):
            found = tf.reshape(tf.cast(cells, tf.float64), [-1])
            if kind == "numeric":
                return tf.where(tf.abs(found) < LARGEST, found, tf.constant(math.nan, tf.float64))
            low, high = (tf.constant(float(value), tf.float64) for value in values)
            nan = tf.constant(math.nan, tf.float64)
            return tf.where(found == high, tf.ones_like(found), tf.where(found == low, tf.zeros_like(found), nan))
        text = tf.strings.strip(tf.reshape(tf.convert_to_tensor(cells, tf.string), [-1]))
        if kind == "date":
            return _seconds(text)
        places = tf.argmax(tf.equal(text[:, None], tf.constant(list(values))), 1)
        known = tf.reduce_any(tf.equal(text[:, None], tf.constant(list(values))), 1)
        gap = tf.reduce_any(tf.equal(tf.strings.lower(text)[:, None], tf.constant(GAPS)), 1)
        unknown = tf.where(gap, math.nan, float(len(values)) if column["other"] else math.nan)
        return tf.where(known, tf.cast(places, tf.float64), tf.cast(unknown, tf.float64))

    def raw(self, codes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Raw columns by name of codes [B, columns]: text is empty and a number NaN where a code is NaN."""
        return {column["name"]: _cells(column, codes[:, place]) for place, column in enumerate(self.columns)}


def _cells(column: Mapping[str, Any], codes: tf.Tensor) -> tf.Tensor:
    """The cells of codes [B]; times as seconds since 1970."""
    if column["kind"] in ("numeric", "date"):
        return codes
    if _is_text(column):
        cells = tf.constant([*column["values"], OTHER, ""])
    else:
        cells = tf.constant([*map(float, column["values"]), math.nan], tf.float64)
    return tf.gather(cells, tf.where(tf.math.is_nan(codes), cells.shape[0] - 1, tf.cast(codes, tf.int32)))


def _is_text(column: Mapping[str, Any]) -> bool:
    return column["kind"] in ("categorical", "date") or (column["kind"] == "binary" and not column["numbers"])


def _moments(codes: np.ndarray) -> tuple[float, float]:
    """Mean and deviation of the codes of a numeric column that are there."""
    known = codes[np.isfinite(codes)][:, None]
    if not len(known):
        return 0.0, 1.0
    mean, deviation = standardization(known)
    return float(mean[0]), float(deviation[0])


def _seconds(text: tf.Tensor) -> tf.Tensor:
    """Seconds since 1970 (UTC) of ISO times [B]; NaN where one is none. Days as in the proleptic Gregorian calendar."""
    date, time = r"\d{4}-\d\d-\d\d", r"\d\d:\d\d:\d\d(\.\d+)?"
    valid = tf.strings.regex_full_match(text, rf"{date}([T ]{time}(Z|\+00:00)?)?")
    timed = tf.strings.regex_full_match(text, rf"{date}[T ].*") & valid
    padded = tf.where(timed, tf.strings.regex_replace(text, r"(Z|\+00:00)$", ""), "1970-01-01T00:00:00")
    whole = tf.where(valid, text, "1970-01-01")

    def part(source: tf.Tensor, first: int, length: int) -> tf.Tensor:
        return tf.strings.to_number(tf.strings.substr(source, first, length), tf.float64)

    year, month, day = part(whole, 0, 4), part(whole, 5, 2), part(whole, 8, 2)
    year -= tf.cast(month <= 2, tf.float64)
    era = tf.floor(year / 400)
    of_era = year - 400 * era
    of_year = tf.floor((153 * tf.math.floormod(month + 9, 12) + 2) / 5) + day - 1
    days = era * 146_097 + of_era * 365 + tf.floor(of_era / 4) - tf.floor(of_era / 100) + of_year - DAYS
    clock = 3600 * part(padded, 11, 2) + 60 * part(padded, 14, 2) + part(padded, 17, 30)
    return tf.where(valid, 86_400 * days + clock, tf.constant(math.nan, tf.float64))
