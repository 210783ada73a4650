"""Weights: found, named, downloaded, refused."""

import hashlib

import pytest
import torch
import torchvision
from torchvision.models.feature_extraction import create_feature_extractor

from rdrepro.backbones import NoFourthStageError
from rdrepro.models.teacher import FourthStage, Teacher
from rdrepro.models.weights import RESNETS, Weights
from rdrepro.runs import weights as weights_module
from rdrepro.runs.weights import download, find_weights


@pytest.fixture
def resnet_file(tmp_path):
    """A ResNet-18 state dict in torchvision's names, without layer4 and fc."""
    torch.manual_seed(5)
    path = tmp_path / "teacher.pth"
    torch.save(Teacher("resnet18", Weights("random")).encoder.state_dict(), path)
    return path


@pytest.fixture
def server(tmp_path, serve):
    """The address of a local server, and the folder that it serves."""
    (tmp_path / "served").mkdir()
    return serve(tmp_path / "served"), tmp_path / "served"


def test_a_path_is_known_by_its_hash(resnet_file):
    digest = hashlib.sha256(resnet_file.read_bytes()).hexdigest()
    found = find_weights("resnet18", str(resnet_file))
    assert found == Weights(f"sha256:{digest[:16]}", resnet_file)
    loaded = Teacher("resnet18", found).encoder.layer3[1].conv2.weight
    assert torch.equal(loaded, torch.load(resnet_file)["layer3.1.conv2.weight"])


def test_a_file_known_to_be_equal_bears_the_published_name(resnet_file, monkeypatch):
    digest = hashlib.sha256(resnet_file.read_bytes()).hexdigest()
    monkeypatch.setitem(weights_module.KNOWN_FILES, digest, "IMAGENET1K_V1")
    assert find_weights("resnet18", str(resnet_file)).name == "IMAGENET1K_V1"


def test_torchvisions_own_file_is_known_wherever_it_lies(resnet_file, monkeypatch):
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
    with pytest.raises(ConnectionError, match="RDREPRO_WEIGHTS"):
        download(f"{address}/net-01234567.pth", tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_no_network_says_what_to_do_instead(tmp_path):
    with pytest.raises(ConnectionError, match=r"cannot download .* weights=random"):
        download("http://127.0.0.1:9/net-01234567.pth", tmp_path)


@pytest.mark.parametrize(
    ("backbone", "weights", "message"),
    [
        ("resnet18", "IMAGENET1K_V9", "use IMAGENET1K_V1 or random or the path"),
        ("resnet18", "", "weights='' is no file"),
        ("efficientnet_lite0", "IMAGENET1K_V1", "use shipped or random or the path"),
        ("timm/resnet18", "IMAGENET1K_V1", "use pretrained or random or the path"),
    ],
)
def test_unknown_weights_name_the_known_ones(backbone, weights, message):
    with pytest.raises(ValueError, match=message):
        find_weights(backbone, weights)


def test_files_that_do_not_fit_say_which_entries(resnet_file, tmp_path):
    with pytest.raises(ValueError, match=r"does not fit the backbone: it lacks .*layer1\.2"):
        Teacher("resnet34", find_weights("resnet34", str(resnet_file)))
    state = torch.load(resnet_file)
    state["layer2.0.conv1.weight"] = torch.zeros(3)
    torch.save(state, tmp_path / "wrong.pth")
    with pytest.raises(ValueError, match=r"another shape at layer2\.0\.conv1\.weight"):
        Teacher("resnet18", find_weights("resnet18", str(tmp_path / "wrong.pth")))


@pytest.mark.parametrize(
    "content", [b"", b"no tensors", b"plain text\n", b"\x80\x02}q\x00.", bytes(range(256)) * 9]
)
def test_files_that_hold_no_tensors_are_refused(content, tmp_path):
    path = tmp_path / "broken.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.pth"):
        Teacher("resnet18", find_weights("resnet18", str(path)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"epoch": 3, "state_dict": {}},
            r"no tensors \(epoch, state_dict\); save its 'state_dict'",
        ),
        ({"conv1.weight": 3}, r"no tensors \(conv1\.weight\)"),
        ([1, 2], "holds no state dict"),
    ],
)
def test_other_dictionaries_are_refused(content, message, tmp_path):
    torch.save(content, tmp_path / "other.pth")
    for backbone in ("resnet18", "efficientnet_lite0"):
        with pytest.raises(ValueError, match=message):
            Teacher(backbone, find_weights(backbone, str(tmp_path / "other.pth")))


# How others name a ResNet's entries: torchvision's name -> theirs.
CHILDREN = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")


def numbered(name):
    child, rest = name.split(".", 1)
    return f"{CHILDREN.index(child)}.{rest}"


LAYOUTS = {
    "torchvision's": lambda name: name,
    "DataParallel's": lambda name: f"module.{name}",
    "model.encoder": lambda name: f"model.encoder.{name}",
    "children": numbered,
    "RadImageNet's": lambda name: f"backbone.{numbered(name)}",
    "RadImageNet's, DataParallel": lambda name: f"module.backbone.{numbered(name)}",
}


def renamed(state, layout):
    """A made-up file's content: a ResNet's entries but the classifier's, which has its own name."""
    body = {LAYOUTS[layout](k): v for k, v in state.items() if not k.startswith("fc.")}
    return body | {"linear.weight": state["fc.weight"]}


@pytest.fixture(scope="module")
def resnet50_state():
    """A whole ResNet-50 with random weights and moved statistics."""
    torch.manual_seed(6)
    network = torchvision.models.resnet50(weights=None)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network.state_dict()


@pytest.fixture(scope="module")
def expected(resnet50_state):
    """What torchvision's own network makes of an image: three maps, and the fourth stage's."""
    network = torchvision.models.resnet50(weights=None).eval()
    network.load_state_dict(resnet50_state)
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    layers = create_feature_extractor(network, ["layer1", "layer2", "layer3", "layer4"])
    with torch.no_grad():
        return images, list(layers(2 * images - 1).values())


@pytest.mark.parametrize(
    ("layout", "nested"), [(name, name == "RadImageNet's") for name in LAYOUTS], ids=str
)
def test_a_resnets_entries_may_be_named_as_others_name_them(
    layout, nested, resnet50_state, expected, tmp_path
):
    content = renamed(resnet50_state, layout)
    content = {"epoch": 3, "state_dict": content} if nested else content
    torch.save(content, tmp_path / "radiology.pt")
    found = find_weights("resnet50", str(tmp_path / "radiology.pt"))
    images, (*f_e, fourth) = expected
    own = Teacher("resnet50", found, normalise="symmetric")(images)
    for ours, theirs in zip(own, f_e, strict=True):
        torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(FourthStage("resnet50", found)(own), fourth)


@pytest.mark.parametrize(
    ("deeper", "backbone"), [("resnet101", "resnet50"), ("resnet34", "resnet18")]
)
def test_a_deeper_networks_file_is_refused(deeper, backbone, tmp_path):
    torch.save(torchvision.models.get_model(deeper, weights=None).state_dict(), tmp_path / "w.pth")
    found = find_weights(backbone, str(tmp_path / "w.pth"))
    with pytest.raises(ValueError, match=f"does not fit backbone='{backbone}': .* entries more"):
        Teacher(backbone, found)


@pytest.mark.parametrize("backbone", RESNETS)
def test_the_numbers_are_the_places_of_every_resnets_children(backbone):
    with torch.device("meta"):
        network = torchvision.models.get_model(backbone, weights=None)
    assert tuple(name for name, _ in network.named_children())[: len(CHILDREN)] == CHILDREN


def test_a_small_resnet_reads_the_same_from_either_file(tmp_path):
    torch.manual_seed(7)
    state, images = torchvision.models.resnet18(weights=None).state_dict(), torch.rand(1, 3, 64, 64)
    seen = []
    for number, layout in enumerate(("torchvision's", "RadImageNet's")):
        path = tmp_path / f"{number}.pt"
        torch.save(renamed(state, layout), path)
        seen.append(Teacher("resnet18", Weights("sha256:0", path))(images))
    assert all(torch.equal(a, b) for a, b in zip(*seen, strict=True))


def test_files_of_two_networks_are_ambiguous(resnet50_state, tmp_path):
    path = tmp_path / "two.pt"
    both = renamed(resnet50_state, "RadImageNet's") | {"model.conv1.weight": torch.zeros(1)}
    torch.save(both, path)
    for kind in (Teacher, FourthStage):
        with pytest.raises(ValueError, match=r"ambiguous: model\.conv1\.weight .* conv1\.weight"):
            kind("resnet50", Weights("sha256:0", path))


def test_numbered_files_lack_what_they_lack(resnet50_state, tmp_path):
    path = tmp_path / "part.pt"
    content = renamed(resnet50_state, "RadImageNet's")
    kept = {k: v for k, v in content.items() if not k.startswith("backbone.7")}
    torch.save(kept, path)
    Teacher("resnet50", Weights("sha256:0", path))
    with pytest.raises(NoFourthStageError, match=r"part\.pt has no layer4"):
        FourthStage("resnet50", Weights("sha256:0", path))
    del kept["backbone.5.0.bn1.weight"]
    torch.save(kept, path)
    with pytest.raises(ValueError, match=r"lacks layer2\.0\.bn1\.weight \(1 entries missing"):
        Teacher("resnet50", Weights("sha256:0", path))


@pytest.mark.parametrize(
    "strange", ["encoder_q.conv1.weight", "backbone.8.weight", "body.0.weight"]
)
def test_other_names_are_refused_as_before(strange, resnet50_state, tmp_path):
    torch.save({strange: resnet50_state["conv1.weight"]}, tmp_path / "strange.pt")
    with pytest.raises(ValueError, match=r"does not fit the backbone: it lacks conv1\.weight"):
        Teacher("resnet50", Weights("sha256:0", tmp_path / "strange.pt"))


def test_symmetric_images_span_minus_one_to_one():
    teacher = Teacher("resnet18", Weights("random"), normalise="symmetric")
    seen = []
    teacher.encoder.conv1.register_forward_hook(lambda _, images, __: seen.append(images[0]))
    teacher(torch.stack([torch.zeros(3, 64, 64), torch.ones(3, 64, 64)]))
    assert seen[0].amin(dim=(1, 2, 3)).tolist() == seen[0].amax(dim=(1, 2, 3)).tolist() == [-1, 1]


def test_values_that_are_not_finite_are_refused(resnet_file, tmp_path):
    state = torch.load(resnet_file)
    state["layer1.0.conv1.weight"][0] = float("nan")
    torch.save(state, tmp_path / "nan.pth")
    with pytest.raises(ValueError, match=r"values that are not finite: layer1\.0\.conv1\.weight"):
        Teacher("resnet18", find_weights("resnet18", str(tmp_path / "nan.pth")))


def test_no_code_is_run_from_a_weights_file(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "written"), "w"))

    torch.save({"conv1.weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(ValueError, match="cannot be read"):
        Teacher("resnet18", find_weights("resnet18", str(tmp_path / "evil.pth")))
    assert not (tmp_path / "written").exists()
