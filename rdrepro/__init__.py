"""A reproduction study of Reverse Distillation (Deng & Li, CVPR 2022) and its extension."""

from rdrepro import progress  # before anything else imports tqdm, whose warning it silences

# isort: split
from rdrepro.config import RunConfig
from rdrepro.data.mvtec import MVTEC_CATEGORIES, MVTEC_OBJECTS, MVTEC_TEXTURES, MVTecAD
from rdrepro.evaluation import Predictions, evaluate, predict
from rdrepro.figures import best_and_worst, plot_history, plot_scores, show_maps, show_samples
from rdrepro.losses import cosine_distance, kd_loss, mkd_loss, value_loss
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
from rdrepro.results import execute, load_runs, make_row, save_row
from rdrepro.scoring import anomaly_map, image_score, loss_score
from rdrepro.tables import beside_print, protocol_table
from rdrepro.training import fit, train

__version__ = "0.1.0"
__all__ = [
    "MVTEC_CATEGORIES",
    "MVTEC_OBJECTS",
    "MVTEC_TEXTURES",
    "PRESETS",
    "MVTecAD",
    "OneClassBottleneck",
    "Predictions",
    "ReverseDistillation",
    "Run",
    "RunConfig",
    "StudentDecoder",
    "Teacher",
    "anomaly_map",
    "aupro",
    "aupro_official",
    "auroc",
    "average_precision",
    "beside_print",
    "best_and_worst",
    "build_model",
    "check_figures",
    "check_maps",
    "check_metrics",
    "check_run",
    "cosine_distance",
    "evaluate",
    "execute",
    "f1_max",
    "fit",
    "image_score",
    "kd_loss",
    "load_runs",
    "loss_score",
    "make_row",
    "mkd_loss",
    "now",
    "plot_history",
    "plot_scores",
    "predict",
    "pro_curve",
    "progress",
    "protocol_table",
    "resolve",
    "resolve_notebook",
    "save_row",
    "show_maps",
    "show_samples",
    "train",
    "value_loss",
    "youden_threshold",
]
