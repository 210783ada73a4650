"""Weights: found, named, downloaded, refused."""

import hashlib
import socket

import pytest
import torch
from huggingface_hub import constants

from rdrepro.models.teacher import Teacher
from rdrepro.models.weights import Weights
from rdrepro.runs import weights as weights_module
from rdrepro.runs.weights import download, find_weights


@pytest.fixture
def server(tmp_path, serve):
    """The address of a local server, and the folder that it serves."""
    (tmp_path / "served").mkdir()
    return serve(tmp_path / "served"), tmp_path / "served"


def test_a_file_is_named_by_its_hash(resnet_file):
    digest = hashlib.sha256(resnet_file.read_bytes()).hexdigest()
    found = find_weights("resnet18", str(resnet_file))
    assert found == Weights(f"sha256:{digest[:16]}", resnet_file)
    loaded = Teacher("resnet18", found).encoder.layer3[1].conv2.weight
    assert torch.equal(loaded, torch.load(resnet_file)["layer3.1.conv2.weight"])


def test_a_file_that_is_equal_to_a_published_one_bears_its_name(resnet_file, monkeypatch):
    digest = hashlib.sha256(resnet_file.read_bytes()).hexdigest()
    monkeypatch.setitem(weights_module.KNOWN_FILES, digest, "IMAGENET1K_V1")
    assert find_weights("resnet18", str(resnet_file)).name == "IMAGENET1K_V1"


def test_torchvisions_own_file_bears_its_name_wherever_it_lies(resnet_file, monkeypatch):
    monkeypatch.setattr(weights_module, "sha256", lambda path: "f37072fd" + 56 * "0")
    assert find_weights("resnet18", str(resnet_file)).name == "IMAGENET1K_V1"
    assert find_weights("resnet34", str(resnet_file)).name == "sha256:f37072fd00000000"


def test_timms_weights_bear_their_tag():
    assert find_weights("timm/resnet18.tv_in1k", "pretrained").name == "pretrained:tv_in1k"
    assert find_weights("timm/resnet18", "pretrained").name.startswith("pretrained:")
    with pytest.raises(ValueError, match="timm has no such weights"):
        find_weights("timm/resnet18.nope", "pretrained")


def test_torchvisions_file_is_found_in_the_weights_folder_and_checked(tmp_path, monkeypatch):
    monkeypatch.setenv("RDREPRO_WEIGHTS", str(tmp_path))
    path = tmp_path / "resnet18-f37072fd.pth"
    path.write_bytes(b"not the real file")
    with pytest.raises(ValueError, match=r"does not have the SHA-256 f37072fd.*delete"):
        find_weights("resnet18", "IMAGENET1K_V1")
    monkeypatch.setattr(weights_module, "sha256", lambda path: "f37072fd" + 56 * "0")
    assert find_weights("resnet18", "IMAGENET1K_V1") == Weights("IMAGENET1K_V1", path)


def test_hub_cache_is_searched_next(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(weights_module, "sha256", lambda path: "f37072fd" + 56 * "0")
    path = tmp_path / "checkpoints" / "resnet18-f37072fd.pth"
    path.parent.mkdir()
    path.write_bytes(b"")
    assert find_weights("resnet18", "IMAGENET1K_V1").path == path


def test_download_from_a_server(server, tmp_path):
    address, served = server
    content = b"weights" * 1000
    name = f"net-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    (served / name).write_bytes(content)
    path = download(f"{address}/{name}", tmp_path / "cache")
    assert path.read_bytes() == content
    assert [p.name for p in (tmp_path / "cache").iterdir()] == [name]


def test_a_download_with_another_hash_leaves_nothing(server, tmp_path):
    address, served = server
    (served / "net-01234567.pth").write_bytes(b"other")
    with pytest.raises(ConnectionError, match=r"SHA-256 is not 01234567.*RDREPRO_WEIGHTS"):
        download(f"{address}/net-01234567.pth", tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_no_network_says_what_to_do_instead(tmp_path):
    with pytest.raises(ConnectionError, match=r"cannot download .* weights=random"):
        download("http://127.0.0.1:9/net-01234567.pth", tmp_path)


def test_offline_no_weights_are_downloaded(tmp_path, monkeypatch):
    monkeypatch.setenv("RDREPRO_OFFLINE", "1")
    monkeypatch.setenv("RDREPRO_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    said = "RDREPRO_OFFLINE is set, so https://download.pytorch.org/.*, or use weights=random"
    with pytest.raises(ConnectionError, match=said) as error:
        find_weights("resnet18", "IMAGENET1K_V1")
    assert f"put it into {tmp_path / 'weights'}" in str(error.value)
    assert not list(tmp_path.iterdir())


def test_offline_timms_weights_come_from_the_cache_alone(monkeypatch):
    monkeypatch.setenv("RDREPRO_OFFLINE", "1")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("network"))
    with pytest.raises(ConnectionError, match=r"RDREPRO_OFFLINE is set, and they are not in the"):
        Teacher("timm/resnet10t.c3_in1k", Weights("pretrained:c3_in1k"))
    assert not constants.HF_HUB_OFFLINE
    with pytest.raises(ConnectionError, match=r"is set, so https://.*'legacy_seresnet18\.in1k'"):
        Teacher("timm/legacy_seresnet18.in1k", Weights("pretrained:in1k"))


@pytest.mark.parametrize(
    ("backbone", "weights", "message"),
    [
        ("resnet18", "IMAGENET1K_V9", "use IMAGENET1K_V1 or random or the path"),
        ("resnet18", "", "weights='' is not a file"),
        ("efficientnet_lite0", "IMAGENET1K_V1", "use shipped or random or the path"),
        ("timm/resnet18", "IMAGENET1K_V1", "use pretrained or random or the path"),
    ],
)
def test_unknown_weights_name_the_known_ones(backbone, weights, message):
    with pytest.raises(ValueError, match=message):
        find_weights(backbone, weights)
