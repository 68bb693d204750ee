"""What training, reports and figures know of the data."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tfadgm.data.schema import Schema  # which needs pandas

UNLABELED = -1  # the class of a point that has no label


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Points in the units of their source, and what is known of their classes.

    Args:
        x: training points [N, *features], labeled ones included.
        y: class of each, [N] int64, UNLABELED where the source gives none or training may not look.
        x_test: points for the report only, [M, *features]; M may be 0.
        y_test: [M] int64.
        class_names: one string a class.
        likelihood: "bernoulli" for intensities with a known range, "gaussian" for other numbers, "mixed" for a table.
        schema: of a table, its columns; x then holds their codes.
        ids: what the source calls each training point, [N] strings; by default its number.
        resized: whether x are image files that were brought to one size.
        notes: what a user should know of how the data were read, a line each.

    Examples:
        >>> x = np.zeros([3, 2])
        >>> data = Dataset(x, np.array([0, -1, 1]), x[:0], np.zeros(0, int), ("no", "yes"), "gaussian")
        >>> data.label_indices.tolist()
        [0, 2]
    """

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple[str, ...]
    likelihood: str
    schema: Schema | None = None
    ids: np.ndarray | None = None
    resized: bool = False
    notes: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        return len(self.class_names)

    @property
    def label_indices(self) -> np.ndarray:
        """The rows that have a label, [L]."""
        return np.flatnonzero(self.y != UNLABELED)

    def replace(self, **changes: Any) -> Dataset:
        """These data with other fields."""
        return dataclasses.replace(self, **changes)

    def without_tests(self) -> Dataset:
        """The training points alone."""
        return dataclasses.replace(self, x_test=self.x_test[:0], y_test=self.y_test[:0])


def numbered(classes: int) -> tuple[str, ...]:
    """The names of classes that are called by their numbers."""
    return tuple(str(number) for number in range(classes))
