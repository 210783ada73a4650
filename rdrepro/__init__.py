"""A reproduction study of Reverse Distillation (Deng & Li, CVPR 2022) and its extension."""

from rdrepro import progress  # before anything else imports tqdm, whose warning it silences

# isort: split
from rdrepro.baselines import MKD, SPADE, PaDiM, build_baseline
from rdrepro.cells import load_print
from rdrepro.config import RunConfig
from rdrepro.cost import measure_cost
from rdrepro.data.medical import MEDICAL_DATASETS, MedicalImages
from rdrepro.data.mvtec import MVTEC_CATEGORIES, MVTEC_OBJECTS, MVTEC_TEXTURES, MVTecAD
from rdrepro.data.novelty import NOVELTY_DATASETS, OneClass
from rdrepro.data.rotated import Rotated
from rdrepro.evaluation import Predictions, evaluate, predict
from rdrepro.figures import (
    choose_cases,
    new_figure,
    plot_cases,
    plot_columns,
    plot_deltas,
    plot_extremes,
    plot_history,
    plot_overlays,
    plot_paper_against_ours,
    plot_pro,
    plot_region_overlap,
    plot_roc,
    plot_rotation,
    plot_samples,
    plot_scores,
    plot_stages,
    plot_stopping,
    plot_variant_maps,
    plot_variants,
    region_overlaps,
    save_figure,
)
from rdrepro.losses import cosine_distance, kd_loss, mkd_loss, mkd_loss_coded, value_loss
from rdrepro.maps import keep_maps_command, load_maps, save_maps
from rdrepro.metrics import (
    aupro,
    aupro_official,
    auroc,
    average_precision,
    f1_max,
    pro_curve,
    youden_threshold,
)
from rdrepro.models.bottleneck import OneClassBottleneck
from rdrepro.models.reverse_distillation import ReverseDistillation, build_model
from rdrepro.models.student import StudentDecoder
from rdrepro.models.teacher import Teacher
from rdrepro.notebook import (
    check_figures,
    check_maps,
    check_metrics,
    check_run,
    resolve_notebook,
)
from rdrepro.presets import PRESETS
from rdrepro.provenance import now
from rdrepro.resolve import Run, resolve
from rdrepro.results import carry_out, execute, load_runs, make_row, read_scores, save_row
from rdrepro.scoring import anomaly_map, image_score, loss_score
from rdrepro.stats import auroc_interval, cell_matches, fold_interval
from rdrepro.studies import resolve_variants, run_variants
from rdrepro.tables import (
    beside_print,
    medical1,
    medical2,
    medical3,
    medical4,
    protocol_table,
    save_table,
    table1,
    table2,
    table3,
    table4,
    table5,
    table6,
    table7,
)
from rdrepro.training import fit, train

__version__ = "0.1.0"
__all__ = [
    "MEDICAL_DATASETS",
    "MKD",
    "MVTEC_CATEGORIES",
    "MVTEC_OBJECTS",
    "MVTEC_TEXTURES",
    "NOVELTY_DATASETS",
    "PRESETS",
    "SPADE",
    "MVTecAD",
    "MedicalImages",
    "OneClass",
    "OneClassBottleneck",
    "PaDiM",
    "Predictions",
    "ReverseDistillation",
    "Rotated",
    "Run",
    "RunConfig",
    "StudentDecoder",
    "Teacher",
    "anomaly_map",
    "aupro",
    "aupro_official",
    "auroc",
    "auroc_interval",
    "average_precision",
    "beside_print",
    "build_baseline",
    "build_model",
    "carry_out",
    "cell_matches",
    "check_figures",
    "check_maps",
    "check_metrics",
    "check_run",
    "choose_cases",
    "cosine_distance",
    "evaluate",
    "execute",
    "f1_max",
    "fit",
    "fold_interval",
    "image_score",
    "kd_loss",
    "keep_maps_command",
    "load_maps",
    "load_print",
    "load_runs",
    "loss_score",
    "make_row",
    "measure_cost",
    "medical1",
    "medical2",
    "medical3",
    "medical4",
    "mkd_loss",
    "mkd_loss_coded",
    "new_figure",
    "now",
    "plot_cases",
    "plot_columns",
    "plot_deltas",
    "plot_extremes",
    "plot_history",
    "plot_overlays",
    "plot_paper_against_ours",
    "plot_pro",
    "plot_region_overlap",
    "plot_roc",
    "plot_rotation",
    "plot_samples",
    "plot_scores",
    "plot_stages",
    "plot_stopping",
    "plot_variant_maps",
    "plot_variants",
    "predict",
    "pro_curve",
    "progress",
    "protocol_table",
    "read_scores",
    "region_overlaps",
    "resolve",
    "resolve_notebook",
    "resolve_variants",
    "run_variants",
    "save_figure",
    "save_maps",
    "save_row",
    "save_table",
    "table1",
    "table2",
    "table3",
    "table4",
    "table5",
    "table6",
    "table7",
    "train",
    "value_loss",
    "youden_threshold",
]
