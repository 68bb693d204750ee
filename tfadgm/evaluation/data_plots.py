"""Pictures of data, before anything is trained on them."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable

import numpy as np

from tfadgm.data.dataset import UNLABELED, Dataset
from tfadgm.errors import line
from tfadgm.evaluation.plots import COLOURS, plt
from tfadgm.nn.preprocessing import Scaling
from tfadgm.nn.tables import TableEncoding

ROWS = 2000
COLUMNS = 12
EACH = 8  # images of a class
CLASSES = 10


def data_pictures(dataset: Dataset) -> list[tuple[str, str]]:
    """Titles and PNG files in base64: some images or the columns, then the rows along two principal components."""
    parts: list[tuple[str, Callable[[Dataset], None]]] = []
    if dataset.x.ndim > 2:
        parts.append(("Examples of each class, then without a label", draw_images))
    else:
        parts.append(("Values of the first columns, scaled", draw_columns))
    parts.append(("Rows along two principal components: grey without a label", draw_components))
    return [(title, _picture(draw, dataset)) for title, draw in parts]


def _picture(draw: Callable[[Dataset], None], dataset: Dataset) -> str:
    buffer = io.BytesIO()
    draw(dataset)
    plt.savefig(buffer, dpi=110)
    plt.close("all")
    return base64.b64encode(buffer.getvalue()).decode()


def draw_images(dataset: Dataset) -> None:
    groups = [np.flatnonzero(dataset.y == index)[:EACH] for index in range(min(dataset.classes, CLASSES))]
    names = [*dataset.class_names[: len(groups)], "no label"]
    groups.append(np.flatnonzero(dataset.y == UNLABELED)[:EACH])
    _, axes = plt.subplots(len(groups), EACH, figsize=(EACH, len(groups)), squeeze=False, layout="constrained")
    low, high = float(dataset.x.min()), float(dataset.x.max())
    for row, name, group in zip(axes, names, groups, strict=True):
        row[0].set_ylabel(line(name)[:20], rotation=0, ha="right", va="center")
        for axis in row:
            axis.set(xticks=[], yticks=[], frame_on=False)
        for axis, place in zip(row, group, strict=False):
            image = (dataset.x[place].astype(np.float32) - low) / ((high - low) or 1)
            colour = image.ndim == 3 and image.shape[-1] == 3
            axis.imshow(image if colour else image.reshape(image.shape[0], -1), cmap="gray_r")


def draw_columns(dataset: Dataset) -> None:
    scaled, names = _scaled(dataset)
    count = min(COLUMNS, scaled.shape[1])
    _, axes = plt.subplots(-(-count // 4), 4, figsize=(10, 1.9 * -(-count // 4)), squeeze=False, layout="constrained")
    for axis in axes.flat:
        axis.set(yticks=[])
        axis.tick_params(labelsize=7)
    for axis in axes.flat[count:]:
        axis.set_axis_off()
    for axis, name, values in zip(axes.flat, names, scaled.T, strict=False):
        axis.hist(values[np.isfinite(values)], bins=30, color=COLOURS[0])
        axis.set_title(line(name)[:28], fontsize=8)


def draw_components(dataset: Dataset) -> None:
    rows = np.random.default_rng(0).permutation(len(dataset.x))[:ROWS]
    rows = np.union1d(rows, dataset.label_indices[:ROWS])
    x = _scaled(dataset)[0][rows]
    x = np.nan_to_num(x - np.nanmean(x, 0))
    _, _, directions = np.linalg.svd(x, full_matrices=False)
    places = np.pad(x @ directions[:2].T, [(0, 0), (0, max(0, 2 - len(directions)))])
    _, axis = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
    y = dataset.y[rows]
    axis.scatter(places[y == UNLABELED, 0], places[y == UNLABELED, 1], s=4, color="0.75")
    for index in range(min(dataset.classes, len(COLOURS))):
        own, name = places[y == index], line(dataset.class_names[index])[:24]
        axis.scatter(own[:, 0], own[:, 1], s=18, color=COLOURS[index], label=name)
    axis.set(xlabel="first component", ylabel="second component")
    if dataset.classes:
        axis.legend(frameon=False, fontsize=8)


def _scaled(dataset: Dataset) -> tuple[np.ndarray, list[str]]:
    """Rows [N, D] as the networks see them, and names of the columns."""
    layer: Scaling | TableEncoding
    if dataset.schema is None:
        layer = Scaling(dataset.x.shape[1:], "float64" if dataset.x.dtype == np.float64 else "float32")
        names = [f"feature {place}" for place in range(layer.units)]
    else:
        layer = TableEncoding(dataset.schema.to_json())
        names = [dataset.schema.columns[place].name for place in (*layer.numeric, *layer.binary)]
        for column in (dataset.schema.columns[place] for place in layer.categorical):
            names += [f"{column.name}: {value}" for value in (*column.values, *["others"] * column.other)]
    layer.build()
    layer.adapt(dataset.x, dataset.likelihood)
    rows = layer(dataset.x).numpy()
    if isinstance(layer, TableEncoding):
        rows = np.delete(rows, np.s_[layer.scalars : 2 * layer.scalars], 1)  # the marks of what is missing
    return rows, names
