"""Training: repeatable, the same with kept features, loud when it fails, never looking ahead."""

import numpy as np
import pandas as pd
import pytest
import torch

import rdrepro as rd
from rdrepro import features, training
from rdrepro.config import train_key
from rdrepro.evaluation import Predictions

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
    """A function from changed settings to (run, model, training set, test set)."""

    def make(**changes):
        run = rd.resolve(**{**TINY, **changes, "overrides": changes.get("overrides", "")})
        train, test = (
            rd.MVTecAD(small_mvtec / "mvtec", "bottle", split, run.config.image_size)
            for split in ("train", "test")
        )
        return run, rd.build_model(run.config, run.weights), train, test

    return make


def student(model):
    return torch.cat([v.flatten().float() for v in model.trainable().state_dict().values()])


def test_one_seed_gives_one_result_to_the_last_bit(setting):
    results = []
    for _ in range(2):
        run, model, train, test = setting(epochs=2)
        history = rd.fit(model, train, run.config)
        predictions = rd.predict(model, test, run.config)
        results.append((student(model), history["loss"].tolist(), predictions.maps))
    assert torch.equal(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]
    assert np.array_equal(results[0][2], results[1][2])


def test_other_seeds_give_other_results(setting):
    losses = []
    for seed in (1, 2):
        run, model, train, _ = setting(seed=seed)
        losses.append(rd.fit(model, train, run.config)["loss"].iloc[-1])
    assert losses[0] != losses[1]


def test_kept_features_change_nothing(setting, monkeypatch):
    results = []
    for budget in ("1", "0"):
        monkeypatch.setenv("RDREPRO_CACHE_GB", budget)
        run, model, train, _ = setting(epochs=1)
        kept = features.TeacherFeatures(model.teacher, train, run.config, run.device).kept
        assert (kept is not None) == (budget == "1")
        rd.fit(model, train, run.config)
        results.append(student(model))
    torch.testing.assert_close(results[0], results[1], atol=1e-5, rtol=1e-5)


def test_batch_statistics_turn_the_kept_features_off(setting):
    run, model, train, _ = setting(overrides="teacher_bn=train")
    assert features.TeacherFeatures(model.teacher, train, run.config, run.device).kept is None


def test_the_loss_falls_and_the_student_alone_moves(setting):
    run, model, train, _ = setting(epochs=8)
    teacher = {k: v.clone() for k, v in model.teacher.state_dict().items()}
    history = rd.fit(model, train, run.config)
    assert history["loss"].iloc[-1] < 0.8 * history["loss"].iloc[0]
    assert history["epoch"].tolist() == list(range(1, 9))
    assert all(torch.equal(v, teacher[k]) for k, v in model.teacher.state_dict().items())


def test_a_step_is_adam_on_the_loss_of_the_chosen_layers(setting):
    """One step by hand, with PyTorch's plain Adam, gives the same student."""
    run, model, train, _ = setting(batch_size=6, train_layers="2,3")
    _, twin, _, _ = setting(batch_size=6, train_layers="2,3")
    rd.fit(model, train, run.config)

    twin.train()
    optimiser = torch.optim.Adam(twin.trainable().parameters(), lr=0.005, betas=(0.5, 0.999))
    order = torch.randperm(6, generator=torch.Generator().manual_seed(run.config.seed))
    f_e, f_d = twin(torch.stack([train[int(i)]["image"] for i in order]))
    rd.kd_loss(f_e[1:], f_d[1:], "flatten").backward()
    optimiser.step()
    # Adam's first step is the gradient's sign, which rounding decides where the gradient vanishes.
    same = torch.isclose(student(model), student(twin), atol=1e-4, rtol=1e-4)
    assert same.float().mean() > 0.9999


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_maps_are_float32_whatever_the_networks_run_in(setting, precision):
    run, model, train, test = setting(precision=precision)
    rd.fit(model, train, run.config)
    predictions = rd.predict(model, test, run.config)
    assert predictions.maps.dtype == np.float32
    f_e, f_d = rd.ReverseDistillation.forward(model.eval(), test[0]["image"][None])
    exact = rd.anomaly_map(f_e, f_d, 64)[0].detach().numpy()
    tolerance = 1e-4 if precision == "float32" else 0.1
    np.testing.assert_allclose(predictions.maps[0], exact, atol=tolerance)


def test_a_loss_that_is_not_finite_stops_the_run(setting):
    run, _, train, _ = setting(overrides="lr=1e30", epochs=3)
    with pytest.raises(RuntimeError, match=r"the loss is (nan|inf) in epoch \d; lower lr"):
        rd.train(run, train)
    assert not list((run.results_dir / "models").iterdir())


def test_the_test_set_is_looked_at_only_when_asked(setting):
    looks = []

    def look(model):
        looks.append(model)
        return {"image_auroc": 0.5}

    run, model, train, _ = setting(epochs=4)
    assert "image_auroc" not in rd.fit(model, train, run.config, look=look) and not looks
    run, curious, train, _ = setting(epochs=4, overrides="eval_every=2")
    history = rd.fit(curious, train, run.config, look=look)
    assert len(looks) == 2 and history["image_auroc"].notna().tolist() == [False, True] * 2
    assert torch.equal(student(model), student(curious))


def test_a_student_is_kept_and_found_again(setting, monkeypatch):
    run, _, train, test = setting(epochs=2)
    first = rd.train(run, train)
    assert not first.reused
    monkeypatch.setattr(training, "fit", None)  # nothing may be trained now
    second = rd.train(run, train)
    assert second.reused
    pd.testing.assert_frame_equal(first.history, second.history)
    assert second.environment == first.environment
    assert torch.equal(student(first.model), student(second.model))
    maps = [rd.predict(t.model, test, run.config).maps for t in (first, second)]
    np.testing.assert_array_equal(*maps)

    rescored = setting(epochs=2, score="sum", overrides="map_combine=product sigma=0")[0]
    assert rd.train(rescored, train).reused


def test_a_curve_needs_training_and_is_of_this_runs_scoring(setting):
    run, _, train, _ = setting(epochs=2, overrides="eval_every=1")
    for value in (0.25, 0.75):
        trained = rd.train(run, train, lambda model, value=value: {"image_auroc": value})
        assert not trained.reused
        assert trained.history["image_auroc"].tolist() == [value] * 2
    plain = setting(epochs=2)[0]
    found = rd.train(plain, train)
    assert found.reused and "image_auroc" not in found.history


def test_a_broken_kept_student_is_named(setting):
    run, _, train, _ = setting()
    path = run.results_dir / "models" / f"{train_key(run.config, train.fingerprint())}.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"broken")
    with pytest.raises(ValueError, match=f"{path.name} cannot be read .*delete it"):
        rd.train(run, train)


def test_a_results_folder_that_cannot_be_written_is_named_before_training(setting, monkeypatch):
    run, _, train, _ = setting()
    run.results_dir.parent.mkdir(exist_ok=True)
    run.results_dir.write_text("a file in the folder's place")
    monkeypatch.setattr(training, "fit", None)
    with pytest.raises(PermissionError, match=r"nothing can be written to .*results_dir"):
        rd.train(run, train)


def test_a_last_batch_of_one_single_celled_image_is_refused(setting):
    run, model, train, _ = setting(image_size=32, batch_size=5)
    with pytest.raises(ValueError, match="batch_size=5 leaves a last batch of one image"):
        rd.fit(model, train, run.config)


def test_memory_that_runs_out_names_what_to_lower(setting, monkeypatch):
    def run_out(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")

    monkeypatch.setattr(training, "_step", run_out)
    run, model, train, _ = setting()
    with pytest.raises(MemoryError, match=r"lower batch_size \(now 4\), image_size \(now 64\)"):
        rd.fit(model, train, run.config)


def test_a_wrong_cache_budget_is_named(setting, monkeypatch):
    monkeypatch.setenv("RDREPRO_CACHE_GB", "lots")
    run, model, train, _ = setting()
    with pytest.raises(ValueError, match="RDREPRO_CACHE_GB='lots' must be a number"):
        rd.fit(model, train, run.config)


@pytest.mark.parametrize(("seconds", "text"), [(3, "3 s"), (250, "4 min"), (7200, "2.0 h")])
def test_durations(seconds, text):
    assert training.duration(seconds) == text


def predictions_with(scores):
    n = len(scores)
    maps, labels = np.zeros((n, 2, 2)), np.arange(n) % 2
    return Predictions(maps, np.array(scores), maps > 1, labels, [], [], "", 0.0)


@pytest.mark.parametrize(
    ("scores", "collapsed"),
    [([1.0, 1.0, 1.0], True), ([1.0, 1.0 + 1e-9], True), ([1.0, np.nan], True), ([1, 1.1], False)],
)
def test_scores_without_spread_are_a_collapse(scores, collapsed):
    assert predictions_with(scores).collapsed is collapsed
