"""rdrepro beside anomalib: `make bench-peers`, or `python -m benchmarks.peers [PART ...]`.

anomalib has an environment of its own, .venv-peers, with the same torch. It runs in float32, as it
does by default. Backbone, batch and images are the same on both sides. What is measured goes to
results/benchmarks/<part>.json. On a busy machine nothing is written.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata

from benchmarks.bench import run
from benchmarks.parts import Findings, Part, Session
from benchmarks.rounds import Method, Ratio, WorkerError
from benchmarks.tasks_networks import BATCH, IMAGE_SIZE, NAMES, OURS, SMALL, method, precisions
from benchmarks.tasks_networks import inference as our_inference
from benchmarks.tasks_networks import step as our_step
from rdrepro.paths import ROOT

PEER = "anomalib"
PYTHON = ROOT / ".venv-peers" / "bin" / "python"
LIBRARIES = (PEER, "torch", "torchvision", "timm", "numpy")
# The targets of these ratios at 256 px on two idle cores.
STEP_TARGETS = {"wide_resnet50_2": 3.0, "resnet18": 2.5}
INFERENCE_TARGET = 2.0  # at batch BATCH
PADIM_BACKBONE, PADIM_IMAGES = "resnet18", 64


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the parts that are named, by default all of them; return 1 where that fails."""
    if not PYTHON.exists():
        sys.stderr.write("anomalib's environment is missing; `make bench-peers` makes it.\n")
        return 1
    return run(PARTS, "peers-", __doc__, arguments)


def measure_steps(session: Session) -> Findings:
    """Training steps; ours with features kept and computed."""
    found = versions()
    for backbone, size in networks(session):
        given = size | {"batch": BATCH}
        methods = {PEER: theirs("training_step", backbone, "computed", **given)}
        for features in ("kept", "computed"):
            for precision in precisions(session):
                says = {"backbone": backbone, "precision": precision} | given
                methods[f"{precision}, features {features}"] = method(
                    our_step, OURS, features, **says
                )
        target = STEP_TARGETS[backbone]
        found += compare(session, "training step", NAMES[backbone], methods, target)
    return found


def measure_inference(session: Session) -> Findings:
    """From images in memory to maps and scores."""
    found = versions()
    for backbone, size in networks(session):
        for batch in (1, BATCH):
            given = size | {"batch": batch}
            methods = {PEER: theirs("inference", backbone, None, **given)}
            for precision in precisions(session):
                says = {"backbone": backbone, "precision": precision} | given
                methods[precision] = method(our_inference, OURS, None, **says)
            target = INFERENCE_TARGET if batch == BATCH else None
            title = f"{NAMES[backbone]}, batch {batch}"
            found += compare(session, "inference", title, methods, target)
    return found


def measure_padim(session: Session) -> Findings:
    """PaDiM's memory bank and its inference."""
    found = versions()
    size = {"image_size": SMALL["image_size"] if session.small else IMAGE_SIZE}
    given = size | {"batch": BATCH, "images": PADIM_IMAGES}
    for task, function in (("PaDiM, fit", "padim_fit"), ("PaDiM, inference", "padim_inference")):
        methods = {PEER: theirs(function, PADIM_BACKBONE, None, **given)}
        for precision in precisions(session):
            options = given | {"backbone": PADIM_BACKBONE, "precision": precision}
            methods[precision] = Method(
                f"benchmarks.tasks_padim:{function}", options, options | {"method": OURS}
            )
        found += compare(session, task, NAMES[PADIM_BACKBONE], methods, limits=False)
    return found


def networks(session: Session) -> list[tuple[str, dict[str, int]]]:
    """The backbones to measure, each with its image size."""
    if session.small:
        return [(SMALL["backbone"], {"image_size": SMALL["image_size"]})]
    return [(backbone, {"image_size": IMAGE_SIZE}) for backbone in NAMES]


def theirs(function: str, backbone: str, features: str | None, **size: int) -> Method:
    """A method of anomalib."""
    options = {"backbone": backbone} | size
    says = options | {"method": PEER, "precision": "float32", "features": features}
    return Method(f"benchmarks.tasks_peers:{function}", options, says, str(PYTHON))


def compare(
    session: Session,
    task: str,
    title: str,
    methods: Mapping[str, Method],
    target: float | None = None,
    limits: bool = True,
) -> Findings:
    """Let anomalib and each of ours take turns.

    target: of the ratio of our default on this machine, which is the first of ours.
    """
    ours = [key for key in methods if key != PEER]
    goals = dict.fromkeys(ours) | {ours[0]: target}
    ratios = [
        Ratio(PEER, key, f"{task}, {title}: {PEER} / {OURS}, {key}", goal)
        for key, goal in goals.items()
    ]
    return session.compare(task, methods, ratios, title, limits=limits)


def versions() -> Findings:
    """The libraries in anomalib's environment, as they stand in the files."""
    code = (
        "import json, sys; from importlib.metadata import version; "
        "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
    )
    said = subprocess.check_output([PYTHON, "-c", code, *LIBRARIES], text=True)
    return Findings(others={"libraries": with_our_torch(json.loads(said))})


def with_our_torch(libraries: dict[str, str]) -> dict[str, str]:
    """The same libraries.

    Raises WorkerError where their torch is not ours, since a ratio would then compare torches.
    """
    ours = metadata.version("torch")
    if libraries["torch"] != ours:
        raise WorkerError(
            f"anomalib's environment has torch {libraries['torch']} and this one {ours}; pin the "
            "same in requirements.lock and benchmarks/requirements-peers.txt"
        )
    return libraries


PARTS = [
    Part(
        "peers-step",
        "One training step on 16 images of 256 px, with random weights, rdrepro beside anomalib "
        "without Lightning. anomalib's bottleneck for WideResNet-50-2 has half the width.",
        6,
        measure_steps,
    ),
    Part(
        "peers-inference",
        "From images in memory to maps and scores, with random weights, rdrepro beside anomalib "
        "without Lightning. anomalib's bottleneck for WideResNet-50-2 has half the width.",
        3,
        measure_inference,
    ),
    Part(
        "peers-padim",
        f"PaDiM's memory bank of {PADIM_IMAGES} images of 256 px, and inference with it.",
        2,
        measure_padim,
    ),
]


if __name__ == "__main__":
    sys.exit(main())
