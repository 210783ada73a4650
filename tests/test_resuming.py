"""An interrupted training ends as the undisturbed one does, to the bit."""

import pytest
import torch
from interruptions import HERE, Interrupting, StoppedError

import rdrepro as rd
from rdrepro.resuming import TrainingState, capture, restore
from rdrepro.runs.checkpoints import FileCheckpoint

STEPS = 4  # an epoch of six images by two, and the first of the next


def result(model, history):
    state = {k: v.clone() for k, v in model.kept().state_dict().items()}
    return state, history.drop(columns="seconds").astype(object).fillna("none").to_dict("list")


def look(model):
    """A made-up metric that depends on every weight."""
    return {"image_auroc": sum(p.double().sum().item() for p in model.trainable().parameters())}


def train(run, checkpoint):
    model = rd.build_model(run.config, run.weights)
    history = model.fit(run.dataset("train"), run.config, "cpu", look, run.validation(), checkpoint)
    return result(model, history)


def check_resuming(run, folder, capsys, steps):
    """Interrupted after any of these steps, a training ends as the undisturbed one, to the bit."""
    undisturbed = train(run, FileCheckpoint(folder / "none", "key", HERE))
    for after in steps:
        path = folder / f"{after}.safetensors"
        with pytest.raises(StoppedError):
            train(run, Interrupting(path, after))
        capsys.readouterr()
        state, history = train(run, FileCheckpoint(path, "key", HERE))
        assert "resumed in epoch" in capsys.readouterr().out
        assert history == undisturbed[1]
        assert state.keys() == undisturbed[0].keys()
        assert all(torch.equal(state[k], v) for k, v in undisturbed[0].items())
    return undisturbed


SMALL = {"preset": "quick", "image_size": 32, "epochs": 3, "batch_size": 2, "device": "cpu"}
SMALL |= {"category": "bottle", "precision": "float32"}
LITE0 = {"backbone": "efficientnet_lite0"}


@pytest.mark.parametrize(
    "settings",
    [
        {**LITE0, "image_size": 64},
        {**LITE0, "precision": "bfloat16", "epochs": 2},
        {**LITE0, "image_size": 96},  # channels last
        {**LITE0, "overrides": "teacher_bn=train"},
        {**LITE0, "train_layers": "3", "map_layers": "3"},  # the last blocks have no gradient
        {**LITE0, "early_stopping": "train", "overrides": "validation_fraction=0.4"},
        {"method": "mkd", "weights": "random", "batch_size": 3, "epochs": 2},
    ],
    ids=[
        "float32",
        "bfloat16",
        "channels last",
        "batch norms",
        "one layer",
        "early stopping",
        "mkd",
    ],
)
def test_a_training_that_was_interrupted_ends_the_same_to_the_bit(
    small_mvtec, tmp_path, capsys, settings
):
    run = rd.resolve(**SMALL | settings, data_root=str(small_mvtec))
    check_resuming(run, tmp_path, capsys, steps=(2, STEPS))


OPTIONS = "lr_schedule=cosine weight_averaging=0.6 optimiser=muon eval_last=2"
MINING = "hard_mining=0.4"


@pytest.mark.parametrize("image_size", [32, 96])  # 32: the OCE trains by matrix products
def test_resuming_with_options(small_mvtec, tmp_path, capsys, image_size):
    """Interrupted before the averaged steps, the last five of nine, and among them."""
    settings = SMALL | LITE0 | {"image_size": image_size, "overrides": OPTIONS}
    run = rd.resolve(**settings, data_root=str(small_mvtec))
    history = check_resuming(run, tmp_path, capsys, steps=(2, 6, 8))[1]
    assert [value == "none" for value in history["image_auroc"]] == [True, False, False]


def test_resuming_with_mining(small_mvtec, tmp_path, capsys):
    settings = SMALL | LITE0 | {"overrides": f"{OPTIONS} {MINING}"}
    run = rd.resolve(**settings, data_root=str(small_mvtec))
    check_resuming(run, tmp_path, capsys, steps=(2, 8))


@pytest.mark.parametrize("option", [*OPTIONS.split()[:-1], MINING])
def test_each_option_changes_the_result(small_mvtec, tmp_path, option):
    """The comparison above can fail: the options do something."""
    checkpoint = FileCheckpoint(tmp_path / "none", "key", HERE)
    usual, changed = (
        train(rd.resolve(**SMALL | LITE0 | given, data_root=str(small_mvtec)), checkpoint)[0]
        for given in ({}, {"overrides": option})
    )
    assert any(not torch.equal(changed[k], v) for k, v in usual.items())


@pytest.mark.parametrize("lost", ["average.3", "averaged"])
def test_a_state_without_the_average_starts_anew(small_mvtec, tmp_path, capsys, lost):
    run = rd.resolve(**SMALL | LITE0, overrides=OPTIONS, data_root=str(small_mvtec))
    undisturbed = train(run, FileCheckpoint(tmp_path / "none", "key", HERE))
    with pytest.raises(StoppedError):
        train(run, Interrupting(tmp_path / "whole", 7))
    checkpoint = FileCheckpoint(tmp_path / "whole", "key", HERE)
    tensors, facts = ({k: v for k, v in d.items() if k != lost} for d in checkpoint.load())
    checkpoint.save(tensors, facts)
    assert train(run, checkpoint)[1] == undisturbed[1]
    assert "The checkpoint does not fit, since it" in capsys.readouterr().out


@pytest.fixture
def interrupted(small_mvtec, tmp_path):
    """A run, the result of its undisturbed training, and the checkpoint of an interrupted one."""
    run = rd.resolve(**SMALL | LITE0, data_root=str(small_mvtec))
    undisturbed = train(run, FileCheckpoint(tmp_path / "none", "key", HERE))
    with pytest.raises(StoppedError):
        train(run, Interrupting(tmp_path / "whole", STEPS))
    return run, undisturbed[1], FileCheckpoint(tmp_path / "whole", "key", HERE)


def test_another_state_gives_another_result(interrupted):
    """The comparison above can fail: what is captured matters."""
    run, undisturbed, checkpoint = interrupted
    tensors, facts = checkpoint.load()
    still = {k: v * 0 if k.endswith("exp_avg") else v for k, v in tensors.items()}
    checkpoint.save(still, facts)
    assert train(run, checkpoint)[1] != undisturbed


@pytest.mark.parametrize("lost", ["optimiser.0.exp_avg", "shuffle", "order", "history", "model"])
def test_an_incomplete_state_starts_anew(interrupted, capsys, lost):
    run, undisturbed, checkpoint = interrupted
    tensors, facts = checkpoint.load()
    kept = {k: v for k, v in tensors.items() if not k.startswith(lost)}
    checkpoint.save(kept, {k: v for k, v in facts.items() if k != lost})
    assert train(run, checkpoint)[1] == undisturbed
    assert "The checkpoint does not fit, since it" in capsys.readouterr().out


def test_what_is_captured_is_restored():
    layer = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    model = type("Model", (), {"kept": lambda self: torch.nn.ModuleDict({"layer": layer})})()
    optimiser = torch.optim.Adam(layer.parameters(), fused=True)
    layer(torch.ones(1, 3, 4, 4)).sum().backward()
    optimiser.step()
    shuffle = torch.Generator().manual_seed(5)
    state = TrainingState(model, optimiser, shuffle, None, [{"epoch": 1, "loss": 0.1}])
    state.order, state.done, state.loss, state.seconds = torch.tensor([2, 0, 1]), 2, 0.3, 0.5
    tensors, facts = capture(state)
    tensors = {k: v.clone().contiguous() for k, v in tensors.items()}
    expected = torch.randperm(9, generator=shuffle)
    torch.nn.init.zeros_(layer.weight)
    fresh = torch.optim.Adam(layer.parameters(), fused=True)
    again = TrainingState(model, fresh, torch.Generator(), None)
    restore(again, (tensors, facts))
    assert torch.equal(layer.weight, tensors["model.layer.weight"])
    assert torch.equal(torch.randperm(9, generator=again.shuffle), expected)
    assert (again.done, again.loss, again.seconds) == (2, 0.3, 0.5)
    assert again.history == [{"epoch": 1, "loss": 0.1}] and again.order.tolist() == [2, 0, 1]
    moment = fresh.state[layer.weight]["exp_avg"]
    assert torch.equal(moment, optimiser.state[layer.weight]["exp_avg"])
    assert moment.is_contiguous(memory_format=torch.channels_last)
