"""What training promises holds on a GPU: one seed gives one result, whatever happens."""

import pytest
import torch
from interruptions import HERE, Interrupting, StoppedError

import rdrepro as rd
from rdrepro import features
from rdrepro.runs.checkpoints import FileCheckpoint
from rdrepro.stepping import EAGER, GRAPH, VARIABLE

pytestmark = pytest.mark.gpu
each_precision = pytest.mark.parametrize("precision", ["float32", "bfloat16"])
CONSTANT = "optimiser=muon hard_mining=0.5 weight_averaging=0.5"
OPTIONS = f"lr_schedule=cosine {CONSTANT}"


def train(run, checkpoint=None):
    """The losses of a training and the weights that it ends with."""
    model = rd.build_model(run.config, run.weights)
    history = rd.fit(model, run.dataset("train"), run.config, run.device, checkpoint=checkpoint)
    state = {k: v.cpu() for k, v in model.trainable().state_dict().items()}
    return history["loss"].tolist(), state, history.attrs["features"]


def assert_same(one, other):
    assert one[0] == other[0]
    assert one[1].keys() == other[1].keys()
    assert all(torch.equal(one[1][name], value) for name, value in other[1].items())


def check_resuming(run, folder, capsys):
    """A training that was interrupted ends as the undisturbed one, to the bit."""
    undisturbed = train(run)
    for after in (2, 6):  # of four steps an epoch, the last one with fewer images
        path = folder / f"{after}.safetensors"
        with pytest.raises(StoppedError):
            train(run, Interrupting(path, after))
        capsys.readouterr()
        resumed = train(run, FileCheckpoint(path, "key", HERE))
        assert "resumed in epoch" in capsys.readouterr().out
        assert_same(resumed, undisturbed)


@each_precision
def test_one_seed_gives_one_result_to_the_bit(resolve, precision):
    run = resolve(precision=precision)
    assert run.config.deterministic
    assert_same(train(run), train(run))


def test_another_seed_gives_another_result(resolve):
    """The comparison above can fail."""
    one, other = (train(resolve(precision="float32", seed=seed)) for seed in (1, 2))
    assert one[0] != other[0]


@each_precision
def test_a_graph_gives_the_bits_of_eager_steps(resolve, device, precision, monkeypatch, capsys):
    if device == "cpu":
        pytest.skip("CUDA graphs need a GPU")
    run, results = resolve(precision=precision), {}
    for kind in (EAGER, GRAPH):
        monkeypatch.setenv(VARIABLE, kind)
        results[kind] = train(run)
    assert "no graph could be recorded" not in capsys.readouterr().out
    assert_same(results[EAGER], results[GRAPH])


@each_precision
def test_a_graph_reads_the_changing_learning_rate(resolve, precision, monkeypatch, capsys):
    """With Muon, mining and averaging, too: graph and eager steps give equal bits."""
    run, results = resolve(precision=precision, overrides=OPTIONS), {}
    for kind in (EAGER, GRAPH):
        monkeypatch.setenv(VARIABLE, kind)
        results[kind] = train(run)
    assert "no graph could be recorded" not in capsys.readouterr().out
    assert_same(results[EAGER], results[GRAPH])
    constant = train(resolve(precision=precision, overrides=CONSTANT))  # would be seen
    assert results[GRAPH][0] != constant[0]


def test_options_survive_an_interruption(resolve, tmp_path, capsys):
    run = resolve(precision="float32", overrides=OPTIONS)
    check_resuming(run, tmp_path, capsys)


@each_precision
def test_an_interrupted_training_ends_the_same_to_the_bit(resolve, tmp_path, precision, capsys):
    check_resuming(resolve(precision=precision), tmp_path, capsys)


@each_precision
def test_features_give_the_same_bits_wherever_they_are_kept(resolve, precision, monkeypatch):
    """On the device, in the computer's memory, and in a file."""
    run = resolve(precision=precision)
    on_device = train(run)
    assert on_device[2] == features.MEMORY
    budget = features.cache_budget
    monkeypatch.setattr(features, "cache_budget", lambda p: 0 if p.type == "cuda" else budget(p))
    in_memory = train(run)
    monkeypatch.setattr(features, "cache_budget", budget)
    monkeypatch.setenv("RDREPRO_CACHE_GB", "1e-6")
    in_file = train(run)
    assert (in_memory[2], in_file[2]) == (features.MEMORY, features.FILE)
    assert_same(in_memory, on_device)
    assert_same(in_file, on_device)


def test_a_loss_that_is_not_finite_stops_training(resolve):
    run = resolve(precision="float32", epochs=3)
    model = rd.build_model(run.config, run.weights)
    next(model.trainable().parameters()).data.fill_(torch.nan)
    with pytest.raises(RuntimeError, match=r"the loss is nan in epoch [12]; lower lr"):
        rd.fit(model, run.dataset("train"), run.config, run.device)
