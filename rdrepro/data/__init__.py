"""Data sets: items are dicts of `image`, `gt_label`, `defect`, `path`, perhaps `gt_mask`."""

from rdrepro.data.holdout import Part
from rdrepro.data.medical import MedicalImages
from rdrepro.data.mvtec import MVTecAD
from rdrepro.data.novelty import OneClass
from rdrepro.data.rotated import Rotated

ImageData = MVTecAD | OneClass | MedicalImages | Part | Rotated
