"""A reproduction study of Reverse Distillation (Deng & Li, CVPR 2022) and its extension.

Public names are loaded on first use (PEP 562). Importing the package is therefore quick, and
reading rows needs no torch.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_NAMES = {
    # the method
    "rdrepro.config": ["RunConfig"],
    "rdrepro.presets": ["PRESETS"],
    "rdrepro.registry": ["DATASETS", "MVTEC_CATEGORIES"],
    "rdrepro.models.reverse_distillation": ["ReverseDistillation"],
    "rdrepro.models.teacher": ["Teacher"],
    "rdrepro.models.bottleneck": ["OneClassBottleneck"],
    "rdrepro.models.student": ["StudentDecoder"],
    "rdrepro.losses": ["cosine_distance", "kd_loss", "mkd_loss", "mkd_loss_coded", "value_loss"],
    "rdrepro.scoring": ["anomaly_map", "image_score", "loss_score"],
    "rdrepro.metrics": [
        *("aupro", "aupro_official", "auroc", "average_precision", "f1_max", "pro_curve"),
        "youden_threshold",
    ],
    "rdrepro.data.mvtec": ["MVTecAD"],
    "rdrepro.data.medical": ["MedicalImages"],
    "rdrepro.data.one_class": ["OneClass"],
    "rdrepro.detector": ["Detector"],
    "rdrepro.methods": ["build_model", "register"],
    "rdrepro.training": ["fit"],
    "rdrepro.evaluation": ["Predictions", "evaluate", "predict"],
    # one run
    "rdrepro.runs.resolve": ["resolve"],
    "rdrepro.runs.run": ["Run"],
    "rdrepro.runs.settings": ["protocol_table"],
    "rdrepro.runs.execute": ["carry_out", "execute", "keep_row", "make_row", "train"],
    "rdrepro.runs.rows": ["load_runs", "read_scores", "save_row"],
    "rdrepro.runs.maps": ["load_maps", "save_maps"],
    "rdrepro.runs.provenance": ["now"],
    "rdrepro.runs.notebook": ["resolve_notebook", "resolve_variants"],
    "rdrepro.runs.variants": ["run_variants"],
    "rdrepro.runs.checks": ["check_figures", "check_maps", "check_metrics", "check_run"],
    # many runs
    "rdrepro.study.printed": ["load_printed"],
    "rdrepro.study.one_run": [
        *("compared_with_paper", "facts_table", "metrics_table", "show_table")
    ],
    "rdrepro.study.figures": [
        *("choose_cases", "new_figure", "plot_cases", "plot_extremes", "plot_history"),
        *("plot_overlays", "plot_roc", "plot_samples", "plot_scores", "plot_stages"),
        *("plot_stopping", "plot_variant_maps", "plot_variants", "save_figure"),
    ],
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}
# Modules that a notebook may import from here by their short name.
_MODULES = {
    "compare": "rdrepro.study.compare",
    "deviations": "rdrepro.study.deviations",
    "medical": "rdrepro.study.medical",
    "medical_report": "rdrepro.study.medical_tables",
    "novelty": "rdrepro.study.novelty",
    "report": "rdrepro.study.report",
    "rotation": "rdrepro.study.rotation",
    "studies": "rdrepro.study.names",
    "tables": "rdrepro.study.tables",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name in _MODULES:
        return import_module(_MODULES[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
