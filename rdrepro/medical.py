"""The extension's Table 3: its columns as presets, and each reading of a column as a variant."""

from typing import Any

# How each printed column can be read: a preset, and what the reading changes of it. L_MKD may be
# trained with or without early stopping, and the last column scored by L_MKD, as printed, or by
# L_KD, as the code does (facts of E1, E10).
READINGS: dict[str, dict[str, dict[str, Any]]] = {
    "MKD": {"MKD": {"preset": "mkd"}},
    "Ours": {"Ours": {"preset": "medical"}},
    "Ours+ES": {"Ours+ES": {"preset": "medical_es"}},
    "Ours+L_KD AS": {"Ours+L_KD AS": {"preset": "medical_kd_score"}},
    "Ours+L_MKD": {
        "Ours+L_MKD": {"preset": "medical_mkd"},
        "Ours+L_MKD, ES": {"preset": "medical_mkd", "early_stopping": "train"},
    },
    "Ours+L_MKD AS": {
        "Ours+L_MKD AS": {"preset": "medical_mkd_score"},
        "Ours+L_MKD AS, by L_KD": {"preset": "medical_mkd_score", "score": "kd_loss"},
        "Ours+L_MKD AS, ES": {"preset": "medical_mkd_score", "early_stopping": "train"},
        "Ours+L_MKD AS, ES, by L_KD": {
            "preset": "medical_mkd_score",
            "early_stopping": "train",
            "score": "kd_loss",
        },
    },
}
# One habit of the extension at a time, against the column "Ours" or, of early stopping, its own.
HABITS: dict[str, dict[str, Any]] = {
    "early stopping on tested images": {"preset": "medical_es", "early_stopping": "leaky"},
    "L_MKD as printed": {"preset": "medical_mkd", "loss": "mkd"},
    "sum of maps": {"preset": "medical", "map_combine": "sum"},
    "one cosine per image": {"preset": "medical", "loss_reduction": "flatten"},
    "256 pixels": {"preset": "medical", "image_size": 256},
    "teacher's batch norms in training mode": {"preset": "medical", "teacher_bn": "train"},
}
