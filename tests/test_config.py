"""Configurations: presets, checks that follow from declarations, files of today and of version 0.1."""

import json
from typing import Annotated

import pytest

from tfadgm.config import RUN, Config, all_hyperparameters, preset, recipe
from tfadgm.data.sources import SOURCES
from tfadgm.errors import InputError
from tfadgm.hyperparameters import AtLeast, OneOf, Range, declared
from tfadgm.models import MODELS


@pytest.mark.parametrize("dataset", [*SOURCES, "own.npz"])
@pytest.mark.parametrize("model", MODELS)
def test_presets_are_valid_and_survive_json(dataset, model):
    config = Config.for_dataset(dataset, model=model)
    assert Config.from_json(config.to_json(), "here") == config


def test_choices_override_the_preset():
    assert Config.for_dataset("digits", labels=20).labels == 20


@pytest.mark.parametrize("dataset", SOURCES)
def test_the_papers_recipe_adds_nothing_to_the_paper(dataset):
    config = Config.for_dataset(dataset, **recipe("paper"))
    for addition in (
        "vat_epsilon", "distribution_alignment_weight", "labeled_weight", "total_count", "binarize", "decay", "alpha",
        "weight_prior", "batch_norm_stream", "trunk",
    ):  # fmt: skip
        assert getattr(config, addition) == getattr(Config(), addition)
    assert config.marginalization == "exact"


def test_every_choice_has_a_help_text():
    assert all(own.help for own in RUN.values())
    assert all(own.help for found in all_hyperparameters().values() for _, own in found)


def test_a_hyperparameter_has_one_type_in_all_models():
    for found in all_hyperparameters().values():
        assert len({str(own.kind) for _, own in found}) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dataset", "cifar"),
        ("model", "gan"),
        ("likelihood", "poisson"),
        ("marginalization", "none"),
        ("labels", 1),
        ("labels", 2.5),
        ("seed", 0.5),
        ("epochs", True),
        ("batch_norm", "no"),
        ("hidden_units", (1.5,)),
        ("seed", -1),
        ("label_seed", 2**31),
        ("hidden_units", (10, 0)),
        ("hidden_units", 10),
        ("hidden_units", None),
        ("latent_units", 0),
        ("epochs", 0),
        ("alpha", float("nan")),
        ("learning_rate", 0.0),
        ("learning_rate", float("inf")),
        ("ema_momentum", 1.0),
        ("global_clipnorm", float("nan")),
        ("vat_epsilon", -1.0),
        ("trunk", "resnet"),
        ("labeled_batch", 1),  # batch normalization would compare nothing
        ("unlabeled_batch", 1),
    ],
)
def test_impossible_values_are_named(field, value):
    with pytest.raises(InputError, match=rf"Expected {field} to be .* Received"):
        Config.of(**{field: value})


def test_a_batch_of_one_is_possible_without_batch_normalization():
    assert Config.of(labeled_batch=1, batch_norm=False).labeled_batch == 1


@pytest.mark.parametrize(
    ("model", "choice"),
    [
        ("sdgm", {"stochastic_layers": 2}),
        ("adgm", {"importance_samples": 5}),
        ("m2", {"mc_samples": 2}),
        ("m2", {"auxiliary_units": 7}),
        ("vae", {"samples": 5}),
        ("vae", {"flows": 5}),
        ("avae", {"labels": 50}),
        ("avae", {"alpha": 50.0}),
        ("lvae", {"vat_epsilon": 1.0}),
    ],
)
def test_what_a_model_does_not_have_is_refused(model, choice):
    (name,) = choice
    with pytest.raises(InputError, match=f"Expected {name} to be left out with {model}. Received"):
        Config.for_dataset("digits", model=model, **choice)


def test_a_flow_has_one_layer():
    with pytest.raises(InputError, match="Expected stochastic_layers to be 1. Received: 2"):
        Config.of(model="nf_vae", stochastic_layers=2)


def test_names_of_nothing_are_refused():
    with pytest.raises(InputError, match="Expected a field of the configuration. Received: colour"):
        Config.of(colour="red")
    with pytest.raises(AttributeError, match="Expected a field .* Received: colour"):
        Config().colour  # noqa: B018


def test_lists_of_units_survive_a_file():
    config = Config.for_dataset("mnist", model="avae", hidden_units=[9, 8], auxiliary_hidden_units=[7])
    assert (config.hidden_units, config.auxiliary_hidden_units) == ((9, 8), (7,))
    assert Config.from_json(config.to_json(), "here") == config


@pytest.mark.parametrize(("units", "model"), [([1.5], "avae"), ([0], "avae"), (3, "avae"), ([3], "vae"), ([3], "sdgm")])
def test_units_of_auxiliary_networks_are_checked(units, model):
    with pytest.raises(InputError, match="Expected auxiliary_hidden_units to be .* Received"):
        Config.for_dataset("mnist", model=model, auxiliary_hidden_units=units)


@pytest.mark.parametrize("text", ["{", "[]", "3", json.dumps({"colour": "red"}), json.dumps({"epochs": "many"})])
def test_foreign_json_is_refused(text):
    with pytest.raises(InputError, match="Expected here"):
        Config.from_json(text, "here")


def test_another_model_keeps_what_it_has():
    config = Config.for_dataset("digits", hidden_units=[9]).replace(model="m2")
    assert (config.hidden_units, config.labels) == ((9,), 50)
    assert "auxiliary_units" not in config.flat()


def test_names_of_version_0_1_are_read():
    config = Config.from_json(
        json.dumps({"model": "sdgm", "adversarial_radius": 2.0, "draws": 4, "flows": None}), "here"
    )
    assert (config.vat_epsilon, config.total_count) == (2.0, 4)
    assert Config().replace(weight_average=0.5).ema_momentum == 0.5


def test_data_without_a_preset_have_that_of_arrays(monkeypatch):
    monkeypatch.setitem(SOURCES, "mine", SOURCES["digits"])
    assert preset("mine", "sdgm")["hidden_units"] == "auto"
    assert Config.for_dataset("mine.npz").hidden_units == "auto"
    with pytest.raises(InputError, match="Expected latent_units to be int. Received: 'auto'"):
        Config.for_dataset("mine.npz", latent_units="auto")  # which no rule fills


class Base:
    def __init__(self, *, size: Annotated[int, AtLeast(1), "how large"] = 3, plain: int = 0) -> None: ...


class Derived(Base):
    def __init__(
        self, *, size: int = 5, kind: Annotated[str | None, OneOf(("a", "b")), "which"] = None, **rest
    ) -> None:
        super().__init__(size=size, **rest)


def test_hyperparameters_are_read_from_constructors():
    found = declared(Derived)
    assert list(found) == ["size", "kind"]
    assert (found["size"].default, found["size"].help, declared(Base)["size"].default) == (5, "how large", 3)
    assert found["kind"].checked(None) is None
    with pytest.raises(InputError, match="Expected kind to be one of a, b. Received: 'c'"):
        found["kind"].checked("c")


@pytest.mark.parametrize(
    ("allowed", "inside", "outside", "told"),
    [
        (Range(1), [1, 1e9], [0.9, float("nan"), float("inf")], "1 or more"),
        (Range(0, above=True), [1e-9], [0, -1], "above 0"),
        (Range(0, 1), [0, 1], [-0.1, 1.1], "from 0 to 1"),
        (Range(0, 1, below=True), [0, 0.99], [1], "from 0 to below 1"),
    ],
)
def test_ranges(allowed, inside, outside, told):
    assert all(value in allowed for value in inside)
    assert not any(value in allowed for value in outside)
    assert str(allowed) == told
