"""Training: repeatable, by the settings it is given, and loud when it fails."""

import copy

import pytest
import torch
from rooms import make_room

import rdrepro as rd
from rdrepro import stepping, training
from rdrepro.features import SOURCES, TeacherFeatures
from rdrepro.stepping import Stepper
from rdrepro.training import has_curve

TINY = {
    "preset": "demo",
    "category": "bottle",
    "image_size": 64,
    "epochs": 1,
    "batch_size": 4,
    "precision": "float32",
    "device": "cpu",
}


@pytest.fixture
def setting(small_mvtec):
    """A function from changed settings to configuration, model, training set and test set."""

    def make(**changes):
        run = rd.resolve(**{**TINY, **changes})
        train, test = (
            rd.MVTecAD(small_mvtec / "mvtec", "bottle", split, run.config.image_size)
            for split in ("train", "test")
        )
        return run.config, rd.build_model(run.config, run.weights), train, test

    return make


def student(model):
    return torch.cat([v.flatten().float() for v in model.trainable().state_dict().values()])


def test_one_seed_gives_one_result_to_the_last_bit(setting):
    results = []
    for _ in range(2):
        config, model, train, test = setting(epochs=2)
        history = rd.fit(model, train, config)
        predictions = rd.predict(model, test, config)
        results.append((student(model), history["loss"].tolist(), predictions.maps.tobytes()))
    assert torch.equal(results[0][0], results[1][0])
    assert results[0][1:] == results[1][1:]


def make_batches_matter(teacher):
    """Let the features depend on the size of the batch, as they do in their last digits."""
    teacher.register_forward_hook(lambda _, images, maps: [f * (1 + len(f) / 64) for f in maps])


@pytest.mark.parametrize(
    "settings",
    [{}, {"image_size": 96}, {"image_size": 96, "precision": "bfloat16"}],
    ids=["channels first", "channels last", "bfloat16"],
)
def test_free_memory_changes_nothing(setting, monkeypatch, settings):
    """Ten epochs of a batch of four images and one of two; only recomputed features differ."""
    results = {}
    for source in SOURCES:
        make_room(monkeypatch, source)
        config, model, train, _ = setting(epochs=10, **settings)
        make_batches_matter(model.teacher)
        history = rd.fit(model, train, config)
        assert history.attrs["features"] == source
        results[source] = (student(model), history["loss"].tolist())
    memory, file, recomputed = results.values()
    assert torch.equal(memory[0], file[0]) and memory[1] == file[1]
    assert not torch.equal(memory[0], recomputed[0]) and memory[1] != recomputed[1]


class StoppedError(Exception):
    pass


class InMemory:
    """A checkpoint that interrupts the training after its third step, in the second epoch."""

    saved, steps = None, 0

    def load(self):
        return self.saved

    def due(self):
        self.steps += 1
        return self.steps == 3

    def save(self, tensors, facts):
        self.saved = copy.deepcopy((tensors, facts))
        raise StoppedError


@pytest.mark.parametrize(
    ("before", "after", "noted"),
    [
        ("memory", "file", "file"),
        ("file", "memory", "file"),
        ("recomputed", "memory", "recomputed"),
        ("memory", "recomputed", "recomputed"),
    ],
)
def test_a_resumed_training_notes_the_last_resort_of_its_parts(
    setting, monkeypatch, before, after, noted
):
    make_room(monkeypatch, "memory")
    config, undisturbed, train, _ = setting(epochs=3)
    rd.fit(undisturbed, train, config)
    checkpoint = InMemory()
    make_room(monkeypatch, before)
    with pytest.raises(StoppedError):
        rd.fit(setting(epochs=3)[1], train, config, checkpoint=checkpoint)
    make_room(monkeypatch, after)
    resumed = setting(epochs=3)[1]
    history = rd.fit(resumed, train, config, checkpoint=checkpoint)
    assert len(history) == 3 and history.attrs["features"] == noted
    if noted != "recomputed":
        assert torch.equal(student(resumed), student(undisturbed))


def test_other_seeds_give_other_results(setting):
    losses = []
    for seed in (1, 2):
        config, model, train, _ = setting(seed=seed)
        losses.append(rd.fit(model, train, config)["loss"].iloc[-1])
    assert losses[0] != losses[1]


def test_the_loss_falls_and_the_student_alone_moves(setting):
    config, model, train, _ = setting(epochs=8)
    teacher = {k: v.clone() for k, v in model.teacher.state_dict().items()}
    history = rd.fit(model, train, config)
    assert history["loss"].iloc[-1] < 0.8 * history["loss"].iloc[0]
    assert history["epoch"].tolist() == list(range(1, 9))
    assert model.fit_seconds == pytest.approx(history["seconds"].sum())
    assert all(torch.equal(v, teacher[k]) for k, v in model.teacher.state_dict().items())


def test_a_step_is_adam_on_the_loss_of_the_chosen_layers(setting):
    """One step by hand, with PyTorch's plain Adam, gives the same student."""
    config, model, train, _ = setting(batch_size=6, train_layers="2,3")
    _, twin, _, _ = setting(batch_size=6, train_layers="2,3")
    rd.fit(model, train, config)

    twin.train()
    optimiser = torch.optim.Adam(twin.trainable().parameters(), lr=0.005, betas=(0.5, 0.999))
    order = torch.randperm(6, generator=torch.Generator().manual_seed(config.seed))
    f_e, f_d = twin(torch.stack([train[int(i)]["image"] for i in order]))
    rd.kd_loss(f_e[1:], f_d[1:], "flatten").backward()
    optimiser.step()
    # Adam's first step is the gradient's sign, which rounding decides where the gradient vanishes.
    same = torch.isclose(student(model), student(twin), atol=1e-4, rtol=1e-4)
    assert same.float().mean() > 0.9999


def test_optimiser_settings_reach_adam(setting, monkeypatch):
    seen, adam = [], torch.optim.Adam

    def spy(*arguments, **options):
        seen.append(options)
        return adam(*arguments, **options)

    monkeypatch.setattr(torch.optim, "Adam", spy)
    config, model, train, _ = setting(overrides="lr=0.01 beta1=0.1 beta2=0.2")
    rd.fit(model, train, config)
    assert seen and all((o["lr"], o["betas"]) == (0.01, (0.1, 0.2)) for o in seen)


def test_every_epoch_sees_every_image_once_in_an_order_of_its_own(setting, monkeypatch):
    batches, answer = [], TeacherFeatures.__getitem__

    def spy(self, indices):
        batches.append(indices.tolist())
        return answer(self, indices)

    monkeypatch.setattr(TeacherFeatures, "__getitem__", spy)
    config, model, train, _ = setting(epochs=3)
    rd.fit(model, train, config)
    per_epoch = 2  # six images in batches of four
    trained = batches[-3 * per_epoch :]
    orders = [[*first, *second] for first, second in zip(trained[::2], trained[1::2], strict=True)]
    assert [len(b) for b in trained[:per_epoch]] == [4, 2]
    assert all(sorted(order) == list(range(6)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3


def test_the_test_set_is_looked_at_only_when_asked(setting):
    looks = []

    def look(model):
        looks.append(model)
        return {"image_auroc": 0.5}

    config, model, train, _ = setting(epochs=4)
    assert "image_auroc" not in rd.fit(model, train, config, look=look) and not looks
    config, curious, train, _ = setting(epochs=4, overrides="eval_every=2")
    history = rd.fit(curious, train, config, look=look)
    assert len(looks) == 2 and history["image_auroc"].notna().tolist() == [False, True] * 2
    assert torch.equal(student(model), student(curious))


@pytest.mark.parametrize(
    ("settings", "epochs"),
    [
        ("eval_last=2", [4, 5]),
        ("eval_last=9", [1, 2, 3, 4, 5]),
        ("eval_every=2 eval_last=1", [2, 4, 5]),
        ("eval_every=5 eval_last=1", [5]),
        ("eval_every=3", [3]),
        ("eval_last=0", []),
    ],
)
def test_the_test_set_is_looked_at_after_the_last_epochs(setting, settings, epochs):
    config, model, train, _ = setting(epochs=5, overrides=settings)
    history = rd.fit(model, train, config, look=lambda _: {"image_auroc": 0.5})
    looked = history.reindex(columns=["epoch", "image_auroc"]).dropna()["epoch"].tolist()
    assert looked == epochs and has_curve(config) == bool(epochs)


def test_looks_at_the_last_epochs_select_nothing(setting):
    config, model, train, test = setting(epochs=4)
    losses = rd.fit(model, train, config)["loss"].tolist()
    config, curious, train, _ = setting(epochs=4, overrides="eval_last=3")
    aurocs = iter([0.9, 0.1, 0.5])  # the first looks best, the last is neither best nor worst

    def look(looked_at):
        rd.predict(looked_at, test, config)  # leaves the model in eval mode
        return {"image_auroc": next(aurocs)}

    history = rd.fit(curious, train, config, look=look)
    assert history["loss"].tolist() == losses
    assert torch.equal(student(model), student(curious))


@pytest.mark.parametrize("rate", ["lr", "muon_lr"])
def test_a_loss_that_is_not_finite_stops_training(setting, rate):
    config, model, train, _ = setting(
        epochs=3, overrides="optimiser=muon" if rate == "muon_lr" else ""
    )
    next(model.trainable().parameters()).data.fill_(torch.nan)
    with pytest.raises(RuntimeError, match=rf"the loss is (nan|inf) in epoch \d; lower {rate} "):
        rd.fit(model, train, config)


def test_a_last_batch_of_one_single_celled_image_is_refused(setting):
    config, model, train, _ = setting(image_size=32, batch_size=5)
    with pytest.raises(ValueError, match="batch_size=5 leaves a last batch of one image"):
        rd.fit(model, train, config)


def test_memory_that_runs_out_names_what_to_lower(setting, monkeypatch):
    def run_out(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")

    monkeypatch.setattr(Stepper, "_step", run_out)
    config, model, train, _ = setting()
    with pytest.raises(MemoryError, match=r"lower batch_size \(now 4\), image_size \(now 64\)"):
        rd.fit(model, train, config)


@pytest.mark.parametrize(("seconds", "text"), [(3, "3 s"), (250, "4 min"), (7200, "2.0 h")])
def test_durations(seconds, text):
    assert training.duration(seconds) == text


def test_a_gpu_that_cannot_hold_the_features_says_so(setting, monkeypatch, capsys):
    monkeypatch.setattr(stepping, "_kind", lambda _: (stepping.EAGER, "the features do not fit"))
    config, model, train, _ = setting()
    rd.fit(model, train, config)
    assert "kernel by kernel, which is slower than graphs: the features" in capsys.readouterr().out


def test_no_state_with_a_loss_that_is_not_finite_is_saved(setting):
    config, model, train, _ = setting(epochs=3)
    next(model.trainable().parameters()).data.fill_(torch.nan)
    checkpoint = InMemory()
    checkpoint.steps = 2  # it is due after the first step
    with pytest.raises(RuntimeError, match="the loss is nan in epoch 1"):
        rd.fit(model, train, config, checkpoint=checkpoint)
    assert checkpoint.saved is None


def test_an_epoch_draws_no_bar_of_its_own(setting, monkeypatch):
    """The bar shows itself when it is due, so that a log does not have a line for every epoch."""
    asked = []
    monkeypatch.setattr(
        training.tqdm, "set_postfix_str", lambda bar, text, refresh=True: asked.append(refresh)
    )
    config, model, train, _ = setting(epochs=3)
    rd.fit(model, train, config)
    assert asked == [False] * 3
