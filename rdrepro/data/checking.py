"""Checks of a run's images before training. Everything that is wrong is reported at once."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import PIL

from rdrepro import registry
from rdrepro.config import RunConfig
from rdrepro.data.digests import combined, file_hashes, in_threads
from rdrepro.data.inspection import ODDITIES, Look, MaskLook, look_at, look_at_mask
from rdrepro.data.listing import Listing, list_files
from rdrepro.data.masks import seems_inverted
from rdrepro.files import replacing

VERSION = 1  # of the checks; kept findings of a lower one are not used


@dataclass(frozen=True)
class Findings:
    """What was found about a run's data.

    errors: a sentence for each thing that must be mended. notes: sentences about what is unusual
    and how it is handled. digest: the SHA-256 of all file names and contents.
    """

    errors: list[str]
    notes: list[str]
    digest: str


def check_images(config: RunConfig, root: Path, cache: Path | None = None) -> Findings:
    """Check that every file that a run reads decodes and fits the other files.

    root: what `find_data` returns. cache: a folder for findings, named by the files' content. Files
    that were checked once are not decoded again.
    """
    listing = list_files(config, root)
    hashes = _hashes(config, root, listing, cache)
    digest = combined(hashes)
    known = hashes and None not in hashes.values()
    kept = cache / f"{_key(config, digest)}.json" if cache and known else None
    found = _kept_findings(kept, digest) if kept else None
    if found is None:
        found = _inspect(config, root, listing, digest)
        if kept:
            _keep(found, kept)
    return Findings([*listing.errors, *found.errors], found.notes, digest)


def _hashes(
    config: RunConfig, root: Path, listing: Listing, cache: Path | None
) -> dict[str, str | None]:
    place = sha256(str(root.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:8]
    table = cache / f"{config.dataset}-{config.category}-{place}.files.json" if cache else None
    return file_hashes(listing.files, listing.root, table)


def _key(config: RunConfig, digest: str) -> str:
    """The name of kept findings. It depends on files, checks and the settings of reading."""
    parts = VERSION, PIL.__version__, config.dataset, config.category, config.split, digest
    return sha256(" ".join(map(str, parts)).encode()).hexdigest()[:32]


def _inspect(config: RunConfig, root: Path, listing: Listing, digest: str) -> Findings:
    """What the contents of the files say, without what `list_files` found."""
    entry = registry.DATASETS[config.dataset]
    if entry.family == registry.ONE_CLASS and listing.other:
        return Findings(_class_errors(config, root), [], digest)
    images = listing.images
    seen = in_threads(lambda p: look_at(p, listing.name(p)), images, "checking images")
    looks = dict(zip(images, seen, strict=True))
    masks = _masks(listing, looks)
    copies = _copies(listing, looks)
    errors = [look.error for look in (*looks.values(), *masks.values()) if look.error]
    notes = [*_oddity_notes(listing, looks), *_inverted_note(listing, masks)]
    # Published one-class sets contain duplicates that nobody can mend.
    (notes if entry.family == registry.ONE_CLASS else errors).extend(copies)
    return Findings(errors, notes, digest)


def _class_errors(config: RunConfig, root: Path) -> list[str]:
    """What is wrong with files of arrays, as the reader of the family says."""
    from rdrepro.data.one_class import OneClass, load_split  # loads torch

    load_split.cache_clear()  # the files may have changed since this process read them
    errors = []
    for split in ("train", "test"):
        try:
            data = OneClass(root, config.dataset, config.normal_class, split, source=config.split)
        except (FileNotFoundError, ValueError) as error:
            errors.append(" ".join(str(error).split()))
        else:
            if split == "train" and len(data) == 1:
                errors.append(f"{config.dataset} has one image to train on; it needs two or more")
    return list(dict.fromkeys(errors))


def _masks(listing: Listing, looks: dict[Path, Look]) -> dict[Path, MaskLook]:
    """What was seen of each mask."""
    pairs = list(listing.masks.items())
    seen = in_threads(
        lambda pair: look_at_mask(pair[1], listing.name(pair[1]), looks[pair[0]].size),
        pairs,
        "checking masks",
    )
    return {mask: look for (_, mask), look in zip(pairs, seen, strict=True)}


def _copies(listing: Listing, looks: dict[Path, Look]) -> list[str]:
    """A sentence for each test image whose decoded pixels are those of a training image."""
    trained = {looks[p].pixels: p for p in reversed(listing.train) if looks[p].pixels}
    return [
        f"the test image {listing.name(p)} has the same pixels as the training image "
        f"{listing.name(twin)}; remove one of the two"
        for p in listing.test
        if (twin := trained.get(looks[p].pixels))
    ]


def _oddity_notes(listing: Listing, looks: dict[Path, Look]) -> list[str]:
    """A sentence for each kind of oddity that images have."""
    notes = []
    for key, what in ODDITIES.items():
        names = [listing.name(p) for p, look in looks.items() if key in look.oddities]
        if len(names) == 1:
            notes.append(f"the image {names[0]} has {what}")
        elif names:
            notes.append(f"{len(names)} images have {what} (the first: {names[0]})")
    return notes


def _inverted_note(listing: Listing, masks: dict[Path, MaskLook]) -> list[str]:
    """One sentence about the masks that seem to be inverted."""
    found = [p for p, look in masks.items() if seems_inverted(look.inside, look.border)]
    if not found:
        return []
    look, name = masks[found[0]], listing.name(found[0])
    shares = f"{look.inside:.0%} inside and {look.border:.0%} at the border are white"
    rule = "a defect must be white and all else black; nothing is changed"
    if len(found) == 1:
        return [f"the mask {name} is probably inverted ({shares}); {rule}"]
    return [f"{len(found)} masks are probably inverted (the first: {name}, {shares}); {rule}"]


def _kept_findings(path: Path, digest: str) -> Findings | None:
    """Findings that were kept; None where there are none, or the file is damaged."""
    try:
        found = Findings(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    lists = (found.errors, found.notes)
    sound = all(isinstance(x, list) and all(isinstance(t, str) for t in x) for x in lists)
    return found if sound and found.digest == digest else None


def _keep(found: Findings, path: Path) -> None:
    with suppress(OSError):  # findings that are not kept are found again
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as aside:
            aside.write_text(json.dumps(asdict(found)), encoding="utf-8")
