"""The configuration of a run: what the run itself is, and the hyperparameters of its model, saved with every run."""

from __future__ import annotations

import dataclasses
import functools
import json
import tomllib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from tfadgm.data.sources import SOURCES, kind_of
from tfadgm.errors import InputError
from tfadgm.hyperparameters import Above, AtLeast, Hyperparameter, OneOf, Range, of_dataclass
from tfadgm.models import MODELS, hyperparameters
from tfadgm.models.base import LIKELIHOODS, OLD_NAMES, renamed

AUTO = "auto"
# Not of density models.
AFTERWARDS = "estimate", "use", "accept_error", "coverage"  # of what comes after training, whose weights are the same
OF_LABELS = "labels", "label_seed", "label_choice", "class_prior", "labeled_batch", "alpha", *AFTERWARDS
DERIVED = "hidden_units", "trunk", "vat_epsilon", "xla"  # choices that a preset may leave to `resolve`, as "auto"
OWN_FILE = "arrays"  # the preset of data that have none


@dataclasses.dataclass(frozen=True)
class Config:
    """Every choice of one run: the fields below, and `choices`, the hyperparameters of its model by name.

    Both read as attributes. `Config.for_dataset` starts from the preset of the data; `tfadgm.resolve` fills what the
    data decide. The defaults are the published networks on MNIST (Maaløe et al. 2016).

    Examples:
        >>> config = Config.for_dataset("digits", labels=20)
        >>> config.labels, config.epochs, config.vat_epsilon
        (20, 200, 1.0)
    """

    dataset: Annotated[
        str,
        "digits, moons, mnist, svhn_cropped, smallnorb, tfds:NAME, or the path of a table (.csv, .tsv, .parquet), of "
        "arrays (.npz, .npy) or of a folder of images",
    ] = "digits"
    data_dir: Annotated[
        str | None, "folder of TensorFlow Datasets; without it TFDS_DATA_DIR, then ~/tensorflow_datasets"
    ] = None
    target: Annotated[
        str | None,
        "column of a table that holds the labels, empty where there is none; of an .npy file, that of labels",
    ] = None
    columns: Annotated[
        str | None,
        "kinds of the columns of a table where they are not seen for what they are: age=numeric,zip=categorical,"
        "id=drop",
    ] = None
    image_size: Annotated[
        int | None, AtLeast(4), "height and width of the images of a folder; by default chosen from them"
    ] = None
    strict: Annotated[bool, "end at an image that cannot be read; otherwise it is left out"] = False
    labels: Annotated[
        int | None, AtLeast(2), "how many labels training sees, chosen evenly per class; by default all"
    ] = None
    label_seed: Annotated[int | None, Range(0, 2**31 - 1), "chooses the labels; by default the seed"] = None
    seed: Annotated[
        int, Range(0, 2**31 - 1), "chooses initial weights, order of the data and noise, and by default the labels"
    ] = 0
    model: Annotated[
        str,
        OneOf(MODELS),
        "adgm, sdgm or m2; discriminative, without a model of x; or a density without labels: vae, iwae, avae, nf_vae "
        "or lvae",
    ] = "sdgm"
    likelihood: Annotated[
        str,
        OneOf((AUTO, *LIKELIHOODS)),
        "p(x|...): bernoulli, gaussian, mixed (of a table), or auto, chosen from the data",
    ] = AUTO
    class_prior: Annotated[
        str, "p(y): uniform, labels (their shares), estimate (from all points), or a share for each class: 0.9,0.1"
    ] = "uniform"
    label_choice: Annotated[
        str, OneOf(("even", "proportional")), "how --labels are chosen: as many of each class, or by its share"
    ] = "even"
    alpha: Annotated[float | None, AtLeast(0), "weight of the classification term; by default 0.1 N / labels"] = None
    weight_prior: Annotated[bool, "add log N(W; 0, 1) / N, a prior of the weights"] = True
    warm_up: Annotated[
        int, AtLeast(0), "epochs in which the weight of the KL divergences of z and a grows from 0 to 1"
    ] = 0
    epochs: Annotated[
        int | None,
        AtLeast(1),
        "passes over the unlabeled points; by default 25, or as many as make 1000 steps",
    ] = None
    labeled_batch: Annotated[int, AtLeast(1), "labeled examples per step (at most all of them)"] = 100
    unlabeled_batch: Annotated[int, AtLeast(1), "unlabeled examples per step (at most all of them)"] = 100
    learning_rate: Annotated[float, Above(0), "step size of Adam"] = 1e-3
    decay: Annotated[
        float, Range(0, 1), "share of the epochs, at the end, over which the step size falls to zero (a cosine)"
    ] = 0.0
    ema_momentum: Annotated[
        float,
        Range(0, 1, below=True),
        "momentum per step of the averaged weights, which are the trained model; 0 turns it off",
    ] = 0.999
    estimate: Annotated[
        bool, "end with the error that folds of the labels let expect, and how simpler methods compare"
    ] = False
    use: Annotated[
        str,
        OneOf(("model", "best", "pool")),
        "what the model ends as: itself, or taught by the best method of the estimate, or by a pool of all of them",
    ] = "model"
    accept_error: Annotated[
        float | None,
        Range(0, 1),
        "tell which answers to accept, so that at most such a share of them is wrong: 0.02",
    ] = None
    coverage: Annotated[
        float | None, Range(0, 1), "tell which answers to accept: such a share of them, the surest ones"
    ] = None
    choices: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        values = {name: own.checked(getattr(self, name)) for name, own in RUN.items()}
        known = hyperparameters(self.model)
        defaults = {name: own.default for name, own in known.items()}
        for name in self.choices:
            if name not in known:
                raise InputError(
                    f"Expected {name} to be left out with {self.model}. Received: {self.choices[name]}"
                    if name in all_hyperparameters()
                    else f"Expected a field of the configuration. Received: {name}"
                )
        choices = {
            name: value if value == AUTO and name in DERIVED else known[name].checked(value)
            for name, value in (defaults | self.choices).items()
        }
        object.__setattr__(self, "choices", choices)
        kind_of(self.dataset)
        if self.is_density:
            for name in OF_LABELS:
                if values[name] != RUN[name].default:
                    raise InputError(f"Expected {name} to be left out with {self.model}. Received: {values[name]}")
        if values["use"] == "best" and not values["estimate"]:
            raise InputError("Expected an estimate of errors with --use best. Received none: add --estimate")
        wanted = [name for name in ("accept_error", "coverage") if values[name] is not None]
        if len(wanted) > 1:
            raise InputError("Expected accept_error or coverage. Received both: each decides which answers to accept")
        if wanted and not values["estimate"]:
            raise InputError(f"Expected an estimate of errors with {wanted[0]}. Received none: add --estimate")
        for name in ("labeled_batch", "unlabeled_batch"):
            if choices["batch_norm"] and values[name] < 2:
                raise InputError(
                    f"Expected {name} to be 2 or more with batch normalization, which compares the examples of a "
                    f"batch. Received: {values[name]}: choose more, or --no-batch-norm"
                )

    def __getattr__(self, name: str) -> Any:
        choices = self.__dict__.get("choices", {})
        if name not in choices:
            raise AttributeError(
                f"Expected a field of the configuration of {self.__dict__.get('model')}. Received: {name}"
            )
        return choices[name]

    @property
    def is_density(self) -> bool:
        """Whether the model is one of x alone, which reads no label."""
        return MODELS[self.model].task == "density"

    @classmethod
    def of(cls, **values: Any) -> Config:
        """A configuration of fields and hyperparameters alike, in names of today or of version 0.1."""
        values = renamed(values)
        choices = {name: values.pop(name) for name in list(values) if name not in RUN}
        return cls(**values, choices=choices)

    @classmethod
    def for_dataset(cls, dataset: str = "digits", **values: Any) -> Config:
        """The preset of `dataset`, for a density model its own, with `values` on top."""
        return cls.of(**preset(dataset, values.get("model", RUN["model"].default)) | renamed(values))

    def replace(self, **values: Any) -> Config:
        """This configuration with other `values`; a change of model keeps what the new one has."""
        values = renamed(values)
        kept = self.flat()
        if values.get("model", self.model) != self.model:
            kept = of_model(kept, values["model"])
        return Config.of(**kept | values)

    def flat(self) -> dict[str, Any]:
        """Fields and hyperparameters by name."""
        fields = {name: getattr(self, name) for name in RUN}
        return fields | self.choices

    @property
    def name(self) -> str:
        """`<dataset>-<model>-<labels>-<seed>`, the default name of the run folder; without labels, layers of z."""
        data = (
            Path(self.dataset).expanduser().resolve().stem
            if self.dataset.endswith((".", "/"))
            else Path(self.dataset).stem
        )
        data = data.replace(":", "-")
        if self.is_density:
            return f"{data}-{self.model}-{self.stochastic_layers}-{self.seed}"
        return f"{data}-{self.model}-{'all' if self.labels is None else self.labels}-{self.seed}"

    def to_json(self) -> str:
        return json.dumps(self.flat(), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, origin: str) -> Config:
        """Reads what `to_json` wrote, today or in version 0.1. Raises InputError, naming `origin`, on anything else."""
        try:
            values = renamed(json.loads(text))
            return cls.of(**of_model(values, values.get("model", RUN["model"].default)))
        except (json.JSONDecodeError, TypeError, AttributeError, InputError) as error:
            raise InputError(f"Expected {origin} to hold the configuration of a run. Received: {error}") from None

    @classmethod
    def read(cls, path: Path) -> Config:
        """The configuration in the file `path`. Raises InputError if it is none."""
        try:
            return cls.from_json(path.read_text(), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"Expected {path} to hold the configuration of a run. Received: {error}") from None


RUN: dict[str, Hyperparameter] = of_dataclass(Config)


def all_hyperparameters() -> dict[str, list[tuple[str, Hyperparameter]]]:
    """Every hyperparameter, with the models that have it."""
    found: dict[str, list[tuple[str, Hyperparameter]]] = {}
    for model in MODELS:
        for name, own in hyperparameters(model).items():
            found.setdefault(name, []).append((model, own))
    return found


def of_model(values: dict[str, Any], model: str) -> dict[str, Any]:
    """`values` without those of other models, which presets and files of version 0.1 hold too.

    There, None stands for the default of a hyperparameter.
    """
    if model not in MODELS:
        return values  # Config tells of it
    own, others = hyperparameters(model), all_hyperparameters()
    density = MODELS[model].task == "density"
    return {
        name: value
        for name, value in values.items()
        if (name in own and not (value is None and own[name].default is not None))
        or (name in RUN and not (density and name in OF_LABELS))
        or (name not in own and name not in RUN and name not in others)
    }


def preset(dataset: str, model: str) -> dict[str, Any]:
    """What `tfadgm/presets` has for `model` on `dataset`."""
    task = MODELS[model].task if model in MODELS else "classification"
    tables = _tables(dataset if dataset in SOURCES else OWN_FILE)
    return {"dataset": dataset, **of_model(tables.get(task, {}), model)}


def recipe(name: str) -> dict[str, Any]:
    """What a recipe puts on top of a preset; "auto" leaves a field to `resolve`."""
    found = _tables(name)["recipe"]
    return {key: None if value == AUTO and key in RUN else value for key, value in found.items()}


def recipes() -> Iterator[str]:
    return (path.name.removesuffix(".toml") for path in _folder().iterdir() if "recipe" in _tables(path.name[:-5]))


@functools.cache
def _tables(name: str) -> dict[str, Any]:
    path = _folder() / f"{name}.toml"
    return tomllib.loads(path.read_text()) if path.is_file() else _tables(OWN_FILE)


def _folder() -> Any:
    return resources.files("tfadgm") / "presets"


__all__ = ["OLD_NAMES", "RUN", "Config", "all_hyperparameters", "preset", "recipe", "recipes"]
