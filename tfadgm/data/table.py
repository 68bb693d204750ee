"""Tables of mixed columns: CSV, TSV and Parquet files, and pandas DataFrames. Files are not trusted."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from tfadgm.data.classes import Classes
from tfadgm.data.dataset import UNLABELED, Dataset
from tfadgm.data.images import listed_images
from tfadgm.errors import InputError, extra, line

with extra("tables"):
    import pandas as pd

    from tfadgm.data.schema import infer, parse_columns

PATH, LABEL = "path", "label"  # the columns of a list of images
DELIMITERS = ",;\t|"
SAMPLE = 64 * 1024  # characters that tell the delimiter
CHUNK = 20_000  # rows that are read at a time for predictions
USUAL = "target", "label", "class", "y"  # what a column of labels is often called
ENCODINGS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}


def own_table(
    path: Path,
    target: str | None = None,
    columns: str | None = None,
    image_size: int | None = None,
    strict: bool = False,
) -> Dataset:
    """The data set in the table `path`; `target` names the column of labels, empty where there is none.

    A table of `path` and `label` alone lists images, see `tfadgm.data.images.own_images`.

    Raises:
        InputError: naming what was expected of the file, a column or a cell, and what was received.
    """
    frame = read_table(path)
    if set(frame.columns) == {PATH, LABEL} and target in (None, LABEL) and columns is None:
        labels = Classes.of(frame[LABEL].to_numpy(object), f"column {LABEL!r}")
        codes = labels.encode(frame[LABEL].to_numpy(object))
        names = [None if code == UNLABELED else labels.names[code] for code in codes]
        return listed_images(path.parent, [str(cell) for cell in frame[PATH]], names, image_size, strict)
    if image_size is not None or strict:
        raise InputError(f"Expected a table of {PATH} and {LABEL} with --image-size or --strict. Received: {path}")
    return from_frame(frame, target, parse_columns(columns))


def from_frame(frame: pd.DataFrame, target: str | None = None, columns: Mapping[str, str] | None = None) -> Dataset:
    """The data set of a DataFrame, see `own_table`; `columns` names the kinds of columns, as in `schema.infer`.

    Examples:
        >>> frame = pd.DataFrame({"age": [31, 47, None], "sex": ["f", "m", "f"], "ill": ["no", "yes", None]})
        >>> data = from_frame(frame, "ill")
        >>> data.x.tolist(), data.y.tolist()
        ([[31.0, 0.0], [47.0, 1.0], [nan, 0.0]], [0, 1, -1])
    """
    frame = frame.rename(columns=str)
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        raise InputError(f"Expected columns of different names. Received twice: {line(repeated[0])!r}")
    if target is not None and target not in frame.columns:
        raise InputError(f"Expected --target to name a column: {_names(frame)}. Received: {target!r}")
    usual = next((name for name in frame.columns if name.lower() in USUAL), None)
    features = frame.drop(columns=target) if target is not None else frame
    if not len(frame) or not len(features.columns):
        raise InputError(
            f"Expected a table with rows and columns. Received: {len(frame)} rows of {len(features.columns)}"
        )
    schema = infer(features, columns)
    x, none = schema.code(features), np.full(len(frame), UNLABELED, np.int64)
    notes = tuple(schema.lines())
    if target is None:
        hint = f"no labels: --target {usual} would name a column of them" if usual else "no labels: --target names them"
        return Dataset(x, none, x[:0], none[:0], (), "mixed", schema=schema, notes=(*notes, hint))
    labels = frame[target].astype(object).to_numpy()
    classes = Classes.of(labels, f"column {target!r}")
    return Dataset(
        x, classes.encode(labels), x[:0], none[:0], classes.names, "mixed",
        schema=schema, notes=(*notes, *classes.notes),
    )  # fmt: skip


def read_table(path: Path) -> pd.DataFrame:
    """All rows of a table, every cell of a text file as text. Raises InputError unless it is whole."""
    return pd.concat(list(read_chunks(path)), ignore_index=True)


def read_chunks(path: Path) -> Iterator[pd.DataFrame]:
    """The rows of a table, CHUNK at a time; at least one frame. Raises InputError unless it is whole."""
    try:
        if path.suffix == ".parquet":
            yield from _parquet(path)
        else:
            yield from _text(path)
    except FileNotFoundError:
        raise InputError(f"Expected an existing table. Received: {path}") from None
    except (OSError, csv.Error, UnicodeError, ValueError) as error:  # pandas and pyarrow derive theirs from them
        if isinstance(error, InputError):
            raise
        raise InputError(f"Expected {path} to be a table of a head and rows. Received: {line(error)}") from None


def _parquet(path: Path) -> Iterator[pd.DataFrame]:
    with extra("tables"):
        from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        empty = file.schema_arrow.empty_table().to_pandas()
        count = 0
        for batch in file.iter_batches(CHUNK):
            count += 1
            yield batch.to_pandas()
        if not count:
            yield empty


def _text(path: Path) -> Iterator[pd.DataFrame]:
    with path.open("rb") as raw:
        encoding = ENCODINGS.get(raw.read(3)[:2], "utf-8-sig")
    with path.open(newline="", encoding=encoding) as stream:
        sample = stream.read(SAMPLE)
        stream.seek(0)
        if "\0" in sample:
            raise InputError(f"Expected {path} to be text. Received: bytes that are none")
        reader = csv.reader(stream, delimiter=_delimiter(path, sample), skipinitialspace=True, strict=True)
        head = [name.strip() for name in next(reader, [])]
        _check_head(path, head)
        rows: list[list[str | None]] = []
        count = 0
        for row in reader:
            if not row:
                continue  # an empty line
            if len(row) != len(head):
                raise InputError(
                    f"Expected {len(head)} cells in each row of {path}, as in its head. Received: {len(row)} in line "
                    f"{reader.line_num}"
                )
            rows.append([cell or None for cell in row])
            if len(rows) == CHUNK:
                yield pd.DataFrame(rows, columns=head, dtype=object)
                rows, count = [], count + 1
        if rows or not count:
            yield pd.DataFrame(rows, columns=head, dtype=object)


def _delimiter(path: Path, sample: str) -> str:
    """The delimiter of a table, by its head: what divides it most often."""
    if path.suffix == ".tsv":
        return "\t"
    return max(DELIMITERS, key=sample.partition("\n")[0].count)


def _check_head(path: Path, head: list[str]) -> None:
    if not head or not any(head):
        raise InputError(f"Expected {path} to begin with the names of its columns. Received: an empty file or line")
    repeated = next((name for name in head if head.count(name) > 1), None)
    if repeated is not None:
        raise InputError(f"Expected columns of different names in {path}. Received twice: {line(repeated)!r}")


def _names(frame: pd.DataFrame) -> str:
    return ", ".join(line(name) for name in frame.columns[:12]) + ", ..." * (len(frame.columns) > 12)
