"""Checkpoints: which are kept, and which are refused."""

import numpy as np
import pytest

from tests.training.conftest import tiny
from tfadgm.errors import InputError, TrainingError
from tfadgm.resolve import resolve
from tfadgm.training.build import build_model
from tfadgm.training.checkpoint import Progress, restore_checkpoint, save_checkpoint


@pytest.fixture
def model(dataset):
    return build_model(resolve(tiny(), dataset), dataset)


def test_weights_that_are_not_finite_are_not_saved(tmp_path, dataset):
    model = build_model(resolve(tiny(), dataset), dataset)
    save_checkpoint(tmp_path, model, Progress(), "run")
    model.trainable_variables[0].assign(np.full(model.trainable_variables[0].shape, np.nan))
    with pytest.raises(TrainingError, match="Expected finite weights after step 0, epoch 1"):
        save_checkpoint(tmp_path, model, Progress(epoch=1), "run")
    assert [path.name for path in tmp_path.iterdir()] == ["00000"]


def test_the_two_newest_checkpoints_are_kept(tmp_path, model):
    for epoch in range(4):
        save_checkpoint(tmp_path, model, Progress(epoch), "run")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00002", "00003"]


@pytest.mark.parametrize("damage", ["weights", "state", "absent"])
def test_a_damaged_checkpoint_is_named(tmp_path, model, damage):
    save_checkpoint(tmp_path, model, Progress(), "run")
    file = tmp_path / "00000" / ("state.json" if damage == "state" else "variables.npz")
    if damage == "absent":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InputError, match="Expected a complete checkpoint. Received a damaged one: delete .*00000"):
        restore_checkpoint(tmp_path, model, "run")


def test_a_checkpoint_of_another_run_is_refused(tmp_path, model):
    save_checkpoint(tmp_path, model, Progress(), "run")
    with pytest.raises(InputError, match="Received one of another run"):
        restore_checkpoint(tmp_path, model, "other")


def test_a_checkpoint_with_other_variables_is_refused(tmp_path, dataset, model):
    """As another version of the code may have written, whose fingerprint is the same."""
    save_checkpoint(tmp_path, build_model(resolve(tiny(hidden_units=(9,)), dataset), dataset), Progress(), "run")
    with pytest.raises(InputError, match="Expected the .* variables of this model .* another version of tfadgm"):
        restore_checkpoint(tmp_path, model, "run")
