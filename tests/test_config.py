import dataclasses
import json

import pytest

from tfadgm.config import DATASETS, MODELS, RECIPES, Config
from tfadgm.errors import InputError


@pytest.mark.parametrize("dataset", [*DATASETS, "own.npz"])
@pytest.mark.parametrize("model", MODELS)
def test_presets_are_valid_and_survive_json(dataset, model):
    config = Config.for_dataset(dataset, model=model)
    assert Config.from_json(config.to_json(), "here") == config


def test_choices_override_the_preset():
    assert Config.for_dataset("digits", labels=20).labels == 20


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_papers_recipe_adds_nothing_to_the_paper(dataset):
    config = Config.for_dataset(dataset, **RECIPES["paper"])
    for addition in (
        "adversarial_radius", "prior_matching", "labeled_weight", "draws", "binarize", "decay", "alpha", "weight_prior",
    ):  # fmt: skip
        assert getattr(config, addition) == getattr(Config(), addition)
    assert config.marginalization == "exact"


def test_every_field_has_a_help_text():
    assert all(field.metadata["help"] for field in dataclasses.fields(Config))


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
        ("hidden_units", (10, 0)),
        ("hidden_units", 10),
        ("hidden_units", None),
        ("latent_units", 0),
        ("epochs", 0),
        ("alpha", float("nan")),
        ("learning_rate", 0.0),
        ("learning_rate", float("inf")),
        ("weight_average", 1.0),
        ("clip_norm", float("nan")),
        ("mc_samples", 0),
    ],
)
def test_impossible_values_are_named(field, value):
    with pytest.raises(InputError, match=rf"Expected {field} to be .* Received"):
        Config(**{field: value})


def test_lists_of_units_survive_a_file():
    config = Config.for_dataset("mnist", model="avae", hidden_units=[9, 8], auxiliary_hidden_units=[7])
    assert (config.hidden_units, config.auxiliary_hidden_units) == ((9, 8), (7,))
    assert Config.from_json(config.to_json(), "here") == config


@pytest.mark.parametrize(("units", "model"), [([1.5], "avae"), ([0], "avae"), (3, "avae"), ([3], "vae"), ([3], "sdgm")])
def test_units_of_auxiliary_networks_are_checked(units, model):
    with pytest.raises(InputError, match="Expected auxiliary_hidden_units to be .* Received"):
        Config.for_dataset("mnist", model=model, auxiliary_hidden_units=units)


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"colour": "red"}), json.dumps({"epochs": "many"})])
def test_foreign_json_is_refused(text):
    with pytest.raises(InputError, match="Expected here"):
        Config.from_json(text, "here")
