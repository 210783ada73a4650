"""The functions for Tables 3 and 5-7 that notebooks import as `from rdrepro import studies`."""

from rdrepro.study.ablation import (
    BOTTLENECK_VARIANTS,
    layer_variants,
    limitations_runs,
    limitations_table,
    resolve_backbones,
    variants_table,
)
from rdrepro.study.complexity import (
    complexity_variants,
    cost_table,
    memory_table,
    performance_table,
    printed_memory,
)

__all__ = [
    "BOTTLENECK_VARIANTS",
    "complexity_variants",
    "cost_table",
    "layer_variants",
    "limitations_runs",
    "limitations_table",
    "memory_table",
    "performance_table",
    "printed_memory",
    "resolve_backbones",
    "variants_table",
]
