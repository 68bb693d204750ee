"""The search space: every dimension reaches the configuration, and nothing impossible is accepted."""

import keras_tuner
import pytest

from tfadgm.config import Config
from tfadgm.errors import InputError
from tuner.keras_tuner_private import hyperparameters
from tuner.space import (
    SPACE,
    Choice,
    Range,
    check,
    configured,
    parse_fixed,
    parse_ranges,
    preset_values,
    search_space,
    table,
)  # fmt: skip

BASE = Config.for_dataset("digits")


@pytest.mark.parametrize("model", ["adgm", "sdgm", "m2"])
def test_every_value_that_may_be_drawn_can_be_trained(model):
    space = search_space(model, {}, {})
    base = BASE.replace(model=model)
    check(space, base)
    oracle = keras_tuner.oracles.RandomSearchOracle("loss", 50, 1, hyperparameters=hyperparameters(space))
    for trial in range(50):
        values = oracle.populate_space(str(trial))["values"]
        assert set(values) == set(space)
        config = configured(base, values, 1257, 50)
        for name, value in values.items():
            if name in config.flat():
                assert getattr(config, name) == value
                assert type(getattr(config, name)) is type(value)
        assert config.hidden_units == (values["width"],) * values["depth"]
        assert config.alpha == pytest.approx(values["alpha_scale"] * 0.1 * 1257 / 50)


@pytest.mark.parametrize("dataset", ["digits", "moons", "mnist", "npz"])
def test_the_space_has_the_presets(dataset):
    own = (
        ("mine.npz", {"hidden_units": (128, 128), "xla": True, "vat_epsilon": 0.0})
        if dataset == "npz"
        else (dataset, {})
    )
    base = Config.for_dataset(own[0], **own[1])
    values = preset_values(search_space("sdgm", {}, {}), base)
    config = configured(base, values, 60_000, 100)
    assert config.alpha == pytest.approx(500 if dataset == "npz" else 0.1 * 60_000 / 100)
    assert config.replace(alpha=base.alpha) == base


def test_a_narrower_space_has_the_values_nearest_to_the_preset():
    ranges = parse_ranges(
        ["width=10:20", "samples=2,3", "learning_rate=1e-4:3e-4:log", "batch_norm=false,true"], "sdgm"
    )
    values = preset_values(search_space("sdgm", ranges, {}), BASE)
    found = [values[name] for name in ("width", "samples", "learning_rate", "batch_norm")]
    assert found == [20, 2, 3e-4, BASE.batch_norm]


def test_whole_numbers_are_real_ones_where_the_field_is():
    ranges = parse_ranges(
        ["learning_rate=0:1", "alpha_scale=0.5,1,2", "distribution_alignment_weight=0:3", "width=10:20"], "sdgm"
    )
    assert ranges["learning_rate"].ends == (0.0, 1.0)
    assert all(
        type(end) is float for name in ("alpha_scale", "distribution_alignment_weight") for end in ranges[name].ends
    )
    assert all(type(end) is int for end in ranges["width"].ends)
    hyperparameters(ranges)


def test_m2_has_no_auxiliary_variable():
    assert set(search_space("sdgm", {}, {})) - set(search_space("m2", {}, {})) == {"auxiliary_units"}


def test_what_is_fixed_is_not_searched():
    fixed = parse_fixed(["hidden=[500,500]", "alpha=3", "marginalization=exact", "batch_norm=false"], "sdgm")
    assert fixed == {"hidden_units": [500, 500], "alpha": 3, "marginalization": "exact", "batch_norm": False}
    gone = {"width", "depth", "alpha_scale", "marginalization", "batch_norm"}
    assert set(SPACE) - set(search_space("sdgm", {}, fixed)) == gone


def test_ranges_replace_those_of_the_space():
    ranges = parse_ranges(
        ["learning_rate=1e-4:3e-3:log", "width=10:20", "warm_up=0:9", "marginalization=exact,none"], "sdgm"
    )
    assert ranges["learning_rate"] == Range(1e-4, 3e-3, "log")
    assert ranges["width"] == Range(10, 20, "linear")
    assert ranges["marginalization"] == Choice(("exact", "none"))
    space = search_space("sdgm", ranges, {})
    assert space["warm_up"] == Range(0, 9)
    assert space["depth"] == SPACE["depth"]
    with pytest.raises(InputError, match="Expected every value of the range of marginalization to be usable"):
        check(space, BASE)


@pytest.mark.parametrize(
    "text",
    ["learning_rate", "learning_rate=", "learning_rate=1", "learning_rate=2:1", "learning_rate=0:1:log", "width=a:b",
     "learning_rate=1:2:cubic", "learning_rate=1:2:log:3", "learning_rate=NaN:1", "width=true:9", "width=1:Infinity"],
)  # fmt: skip
def test_ranges_that_are_none(text):
    with pytest.raises(InputError, match="Expected a range as NAME=LOW:HIGH"):
        parse_ranges([text], "sdgm")


@pytest.mark.parametrize(
    "text", ["learning_rate=-1:1", "depth=-1:2", "width=0:9", "samples=0:2", "batch_norm=1:2", "latent_units=0.5:2.5"]
)
def test_ranges_that_cannot_be_trained(text):
    with pytest.raises(InputError, match="Expected every value of the range of"):
        check(search_space("sdgm", parse_ranges([text], "sdgm"), {}), BASE)


@pytest.mark.parametrize("text", ["foo=1", "hidden", "seed=3", "epochs=4", "width="])
def test_fields_that_cannot_be_fixed(text):
    with pytest.raises(InputError, match="Expected FIELD=VALUE with a field of"):
        parse_fixed([text], "sdgm")


def test_contradictions():
    with pytest.raises(InputError, match="Expected width or hidden_units to be fixed"):
        parse_fixed(["hidden=[5]", "width=3"], "sdgm")
    with pytest.raises(InputError, match="Expected width to be either fixed or searched"):
        search_space("sdgm", parse_ranges(["width=1:3"], "sdgm"), {"hidden_units": [5]})
    with pytest.raises(InputError, match="Expected a range of one of"):
        parse_ranges(["auxiliary_units=1:3"], "m2")
    with pytest.raises(InputError, match="Expected something left to search"):
        search_space("sdgm", {}, dict.fromkeys(SPACE, 1))


def test_the_space_is_printed():
    text = table(search_space("sdgm", {}, {"hidden_units": [5]}), {"hidden_units": [5]})
    assert "learning_rate                 0.0003 to 0.01, log" in text
    assert "hidden_units                  [5] (fixed)" in text
    assert "width" not in text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("adversarial_radius", "vat_epsilon"),
        ("prior_matching", "distribution_alignment_weight"),
        ("clip_norm", "global_clipnorm"),
    ],
)
def test_names_of_version_0_1_are_taken(old, new):
    assert parse_ranges([f"{old}=0.5:2"], "sdgm") == {new: Range(0.5, 2.0)}
    assert parse_fixed([f"{old}=0.5"], "sdgm") == {new: 0.5}


def test_what_the_space_leaves_out_can_be_searched_too():
    assert "warm_up" not in SPACE
    space = search_space("sdgm", parse_ranges(["warm_up=0,5,20"], "sdgm"), {})
    assert space["warm_up"] == Choice((0, 5, 20))
    assert preset_values(space, BASE)["warm_up"] == BASE.warm_up
    assert configured(BASE, {"warm_up": 5}, 1257, 50).warm_up == 5


@pytest.mark.parametrize("name", ["hidden_units", "alpha", "label_seed", "seed", "epochs", "dataset"])
def test_what_has_no_scale_of_its_own_cannot_be_searched(name):
    with pytest.raises(InputError, match="Expected a range of one of"):
        parse_ranges([f"{name}=1:2"], "sdgm")
