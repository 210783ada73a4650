"""Files of weights: how their entries may be named, and how those that do not fit are refused."""

import pytest
import torch
import torchvision
from torchvision.models.feature_extraction import create_feature_extractor

from rdrepro.backbones import NoFourthStageError
from rdrepro.models.teacher import FourthStage, Teacher
from rdrepro.models.weights import RESNETS, Weights, read_file


def given(path):
    return Weights("sha256:0", path)


def test_files_that_do_not_fit_say_which_entries(resnet_file, tmp_path):
    with pytest.raises(ValueError, match=r"does not fit the backbone: it lacks .*layer1\.2"):
        Teacher("resnet34", given(resnet_file))
    state = torch.load(resnet_file)
    state["layer2.0.conv1.weight"] = torch.zeros(3)
    torch.save(state, tmp_path / "wrong.pth")
    with pytest.raises(ValueError, match=r"another shape at layer2\.0\.conv1\.weight"):
        Teacher("resnet18", given(tmp_path / "wrong.pth"))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "it is empty; download or copy it again"),
        (b"<!DOCTYPE html>\n<p>404", "it is text, which begins '<!DOCTYPE html> <p>404'; download"),
        (b"\x89PNG\r\n\x1a\n rest", "it is a picture; download or copy it again"),
        (b"\xff\xd8\xff\xe0 rest", "it is a picture; download"),
        (b"\x80\x02}q\x00.", "it is cut off or damaged, or was not saved by PyTorch; download"),
        (bytes(range(256)) * 9, "it is cut off or damaged, or was not saved by PyTorch; download"),
    ],
)
def test_files_that_hold_no_tensors_say_what_they_are(content, what, tmp_path):
    path = tmp_path / "broken.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"the weights file broken\.pth") as error:
        read_file(path)
    assert what in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_was_cut_off_is_refused(zipped, resnet_file, tmp_path):
    path = tmp_path / "cut.pth"
    torch.save(torch.load(resnet_file), path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[:-100_000])
    with pytest.raises(ValueError, match=r"cut\.pth cannot be read: it is cut off or damaged"):
        Teacher("resnet18", given(path))


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(64, 3, 7, 7).to_sparse(),
        torch.zeros(64, 3, 7, 7, dtype=torch.complex64),
        torch.zeros(64, 3, 7, 7, device="meta"),
    ],
    ids=["sparse", "complex", "without data"],
)
def test_tensors_that_are_not_plain_are_refused(tensor, resnet_file, tmp_path):
    path = tmp_path / "odd.pth"
    torch.save(torch.load(resnet_file) | {"conv1.weight": tensor}, path)
    with pytest.raises(ValueError, match=r"odd\.pth has .* not dense tensors .*\(conv1\.weight\)"):
        Teacher("resnet18", given(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"epoch": 3, "state_dict": {}},
            r"not tensors \(epoch, state_dict\); save its 'state_dict'",
        ),
        ({"conv1.weight": 3}, r"not tensors \(conv1\.weight\)"),
        ([1, 2], "holds no state dict"),
    ],
)
def test_other_dictionaries_are_refused(content, message, tmp_path):
    torch.save(content, tmp_path / "other.pth")
    for backbone in ("resnet18", "efficientnet_lite0"):
        with pytest.raises(ValueError, match=message):
            Teacher(backbone, given(tmp_path / "other.pth"))


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
    found = given(tmp_path / "radiology.pt")
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
    found = given(tmp_path / "w.pth")
    with pytest.raises(ValueError, match=f"does not fit backbone='{backbone}': .* more entries"):
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
        seen.append(Teacher("resnet18", given(path))(images))
    assert all(torch.equal(a, b) for a, b in zip(*seen, strict=True))


def test_files_of_two_networks_are_ambiguous(resnet50_state, tmp_path):
    path = tmp_path / "two.pt"
    both = renamed(resnet50_state, "RadImageNet's") | {"model.conv1.weight": torch.zeros(1)}
    torch.save(both, path)
    for kind in (Teacher, FourthStage):
        with pytest.raises(ValueError, match=r"ambiguous: model\.conv1\.weight .* conv1\.weight"):
            kind("resnet50", given(path))


def test_numbered_files_lack_what_they_lack(resnet50_state, tmp_path):
    path = tmp_path / "part.pt"
    content = renamed(resnet50_state, "RadImageNet's")
    kept = {k: v for k, v in content.items() if not k.startswith("backbone.7")}
    torch.save(kept, path)
    Teacher("resnet50", given(path))
    with pytest.raises(NoFourthStageError, match=r"part\.pt has no layer4"):
        FourthStage("resnet50", given(path))
    del kept["backbone.5.0.bn1.weight"]
    torch.save(kept, path)
    with pytest.raises(ValueError, match=r"lacks layer2\.0\.bn1\.weight \(1 entries missing"):
        Teacher("resnet50", given(path))


@pytest.mark.parametrize(
    "strange", ["encoder_q.conv1.weight", "backbone.8.weight", "body.0.weight"]
)
def test_other_names_are_refused(strange, resnet50_state, tmp_path):
    torch.save({strange: resnet50_state["conv1.weight"]}, tmp_path / "strange.pt")
    with pytest.raises(ValueError, match=r"does not fit the backbone: it lacks conv1\.weight"):
        Teacher("resnet50", given(tmp_path / "strange.pt"))


def test_values_that_are_not_finite_are_refused(resnet_file, tmp_path):
    state = torch.load(resnet_file)
    state["layer1.0.conv1.weight"][0] = float("nan")
    torch.save(state, tmp_path / "nan.pth")
    with pytest.raises(ValueError, match=r"values that are not finite: layer1\.0\.conv1\.weight"):
        Teacher("resnet18", given(tmp_path / "nan.pth"))


@pytest.mark.parametrize("zipped", [True, False])
def test_no_code_is_run_from_a_weights_file(zipped, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "written"), "w"))

    content = {"conv1.weight": Evil()}
    torch.save(content, tmp_path / "evil.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"evil\.pth cannot be read: it holds code .* state_dict"):
        Teacher("resnet18", given(tmp_path / "evil.pth"))
    assert not (tmp_path / "written").exists()


def test_entries_named_by_numbers_do_not_fit(tmp_path):
    torch.save({7: torch.zeros(2)}, tmp_path / "numbers.pth")
    with pytest.raises(ValueError, match=r"numbers\.pth does not fit the backbone: it has|lacks"):
        Teacher("efficientnet_lite0", given(tmp_path / "numbers.pth"))
