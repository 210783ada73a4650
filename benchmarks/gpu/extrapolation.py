"""What Tables 1-2 would take for one seed, from what was measured on one category."""

from typing import Any

EPOCHS, BATCH = 200, 16  # Sec. 4.1
# Training images of MVTec AD's categories, in the order of Table 1 (Bergmann et al. 2019, Table 1).
TRAINING_IMAGES = (280, 264, 245, 230, 247, 209, 224, 219, 391, 220, 267, 320, 60, 213, 240)
TEST_IMAGES = 1725  # of all categories


def tables_1_and_2(content: dict[str, Any]) -> dict[str, Any] | None:
    """The seconds that all fifteen categories would take with the first network that was run.

    content: that of a record. Steps are as long as those of the measured epochs. What a run takes
    beside its epochs grows with the images: that of training with the training images, that of
    testing with the test images. Every category starts a process of its own. None where no run was
    measured to its end.
    """
    if not content.get("protocol"):
        return None
    run = content["protocol"][0]
    done = {step["step"]: step["seconds"] for step in content.get("steps", ())}
    whole = done.get(f"protocol of {run['backbone']}")
    if whole is None:
        return None
    steps = EPOCHS * sum(-(-images // BATCH) for images in TRAINING_IMAGES)
    step = run["seconds of the epochs"] / (run["epochs"] * -(-run["images"] // BATCH))
    beside = run["seconds of checks"] + run["seconds of training"] - run["seconds of the epochs"]
    tested = run["seconds of test"] + run["seconds of metrics"]
    parts = {
        "starts": len(TRAINING_IMAGES) * (whole - run["seconds"]),
        "steps": steps * step,
        "beside the steps": beside * sum(TRAINING_IMAGES) / run["images"],
        "test and metrics": tested * TEST_IMAGES / run["test images"],
    }
    return {
        "what": "Tables 1-2, fifteen categories, one seed, one after the other; not measured",
        "backbone": run["backbone"],
        "from": f"{run['epochs']} epochs on {run['category']}, {run['images']} images",
        "seconds": sum(parts.values()),
        **{f"seconds of {name}": seconds for name, seconds in parts.items()},
    }
