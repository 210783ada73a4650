"""An epoch from PNG files: rdrepro, which decodes once, beside the official code."""

import tempfile
from pathlib import Path

from benchmarks import official
from benchmarks.epochs import CPU, epoch, model_in_training
from benchmarks.parts import Findings, Part, Session
from benchmarks.rounds import Method, Ratio
from benchmarks.tasks_networks import BATCH, NAMES, OFFICIAL, OURS, precisions, timing
from benchmarks.worker import Task
from rdrepro.data.decoded import decoded_images
from rdrepro.data.mvtec import MVTecAD
from rdrepro.features import TeacherFeatures
from rdrepro.stepping import Stepper
from rdrepro.synthetic.benchmark import DEVELOPMENT_SEED, write_category

HERE = "benchmarks.tasks_files"
# MVTec AD's images are 700 to 1024 pixels wide. A texture with the noise of a photograph takes as
# long to decode as one of theirs.
CATEGORY, FILE_SIZE, FILES = "wood", 900, 64
TEST_FILES = 1  # of which nothing is timed
BACKBONE, IMAGE_SIZE = "resnet18", 256
ROUNDS = 3  # an official epoch takes long
SMALL = {"images": 20, "file_size": 96, "image_size": 64}


def official_epoch(folder: str, backbone: str, image_size: int) -> Task:
    """An epoch of the official code, which decodes all files and computes the teacher."""
    networks = official.Networks.random(backbone)
    loader = official.train_loader(Path(folder, CATEGORY, "train"), image_size)

    def run() -> None:
        official.epoch(networks, loader)

    return Task(run)


def first_epoch(folder: str, backbone: str, image_size: int, precision: str) -> Task:
    """A first epoch of rdrepro, which decodes all files and keeps the teacher's features."""
    data = MVTecAD(folder, CATEGORY, "train", image_size)
    model, config = model_in_training(backbone, image_size, len(data), precision)

    def run() -> dict[str, float]:
        seconds: dict[str, float] = {}
        with timing(seconds, "decoding"):
            images = decoded_images(data)
        with timing(seconds, "teacher"):
            features = TeacherFeatures(model.teacher, images, config, CPU)
        with timing(seconds, "steps"):
            epoch(Stepper(model, features, config))
        return seconds

    return Task(run)


def later_epoch(folder: str, backbone: str, image_size: int, precision: str) -> Task:
    """A later epoch of rdrepro, in which everything but the steps is done."""
    data = MVTecAD(folder, CATEGORY, "train", image_size)
    model, config = model_in_training(backbone, image_size, len(data), precision)
    stepper = Stepper(model, TeacherFeatures(model.teacher, data, config, CPU), config)

    def run() -> None:
        epoch(stepper)

    return Task(run)


def measure_epochs(session: Session) -> Findings:
    """Epochs of the official code, and first and later ones of ours, on the same files."""
    images, file_size = (
        (SMALL["images"], SMALL["file_size"]) if session.small else (FILES, FILE_SIZE)
    )
    with tempfile.TemporaryDirectory() as folder:
        write_category(Path(folder), CATEGORY, DEVELOPMENT_SEED, images, TEST_FILES, file_size)
        return compare_epochs(session, folder, images)


def compare_epochs(session: Session, folder: str, images: int) -> Findings:
    """The same, on a folder of so many training images in the layout of MVTec AD."""
    given = {
        "backbone": BACKBONE,
        "image_size": SMALL["image_size"] if session.small else IMAGE_SIZE,
    }
    options = given | {"folder": folder}
    says = given | {"batch": BATCH, "images": images}
    methods = {
        OFFICIAL: Method(
            f"{HERE}:official_epoch",
            options,
            says | {"method": OFFICIAL, "precision": "float32", "features": "computed"},
        )
    }
    # In a first epoch the features are computed, in later ones they are kept.
    for function, which, features in (
        ("first_epoch", "first", "computed"),
        ("later_epoch", "later", "kept"),
    ):
        for precision in precisions(session):
            ours = {"method": OURS, "precision": precision, "features": features}
            methods[f"{precision}, {which} epoch"] = Method(
                f"{HERE}:{function}", options | {"precision": precision}, says | ours
            )
    task, title = "epoch from PNG files", NAMES[BACKBONE]
    ratios = [
        Ratio(OFFICIAL, key, f"{task}, {title}: {OFFICIAL} / {OURS}, {key}")
        for key in methods
        if key != OFFICIAL
    ]
    return session.compare(task, methods, ratios, title, min(session.rounds, ROUNDS))


PARTS = [
    Part(
        "cpu-epoch",
        f"One epoch of {FILES} PNG files of {FILE_SIZE} px, which the system has read before. "
        "In rdrepro's first epoch features are computed; in later ones they are kept.",
        3,
        measure_epochs,
    ),
]
