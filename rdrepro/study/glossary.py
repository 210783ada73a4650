"""The captions of tables and the terms that they use, as plain text.

README.md, RESULTS.md, the report and the files in results/tables take them from here.
"""

from collections.abc import Iterable

from rdrepro.registry import CHOICE_TEST, CHOICE_TRAIN

# The caption of each table, by its name in `tables.all_tables`. They hold no markup.
TABLES = {
    "table1": "Table 1. Image AUROC on MVTec AD, in percent, by category and resolution.",
    "table2": "Table 2. Pixel AUROC and PRO on MVTec AD, in percent. PRO is the authors' formula.",
    "table3": (
        "Table 3. Seconds per image, memory, and average results in percent. The paper prints "
        "memory in MB. Ours is in MiB: the size of a memory bank or, for Ours, of the checkpoint. "
        "The checkpoint holds a layer that is never used, and not the teacher. Its size agrees "
        "with the printed value only if the paper's MB are MiB. It is not the memory in use."
    ),
    "table4": (
        "Table 4. One-class novelty detection: image AUROC in percent, averaged over the classes."
    ),
    "table5": (
        "Table 5. Ablation of the bottleneck: averages over the fifteen categories, in percent."
    ),
    "table6": "Table 6. Teacher backbones: averages over the fifteen categories, in percent.",
    "table7": (
        "Table 7. Layers whose maps are summed: averages over the fifteen categories, in percent."
    ),
    "medical1": (
        "The extension's Table 1. Pixel AUROC and its PRO on textures, in percent. Its code "
        "computes recall at Youden's J under the name PRO."
    ),
    "medical2": (
        "The extension's Table 2. Pixel AUROC and its PRO on objects, in percent. Its code "
        "computes recall at Youden's J under the name PRO."
    ),
    "medical3": "The extension's Table 3. Image AUROC on medical images, in percent.",
    "medical4": (
        "The extension's Table 4. Pixel AUROC and its PRO on textures with the loss L_MKD, in "
        "percent."
    ),
    "at_a_glance": "What each printed table claims, and how far our runs answer it.",
    "headlines": "One result for each printed table that has runs, in percent.",
    "verdicts": "The printed cells that a run of ours could fill, by verdict.",
    "tiers": "The same cells, by tier.",
    "misses": "Printed cells whose verdict is a miss, the largest difference first.",
    "medical_misses": (
        "Results for the extension's Table 3 where neither of our intervals (over images, over "
        "folds) overlaps the one we calculated for the printed value."
    ),
    "embedded": (
        "The fifteen embedded categories, in percent: one run with one seed each. The images are "
        "drawn, so no table of the paper is comparable."
    ),
    "small_backbones": (
        "MVTec AD with smaller teachers (studies small-backbones and gpu-first), in percent. The "
        "printed values are those of WideResNet-50-2."
    ),
    "others": (
        "Other runs on MVTec AD next to the printed value of the same category, in percent."
    ),
    "left_out": (
        "Rows left out of the comparison with printed values, and why. Tables of reduced runs and "
        "of single classes may show them."
    ),
    "complexity": (
        "What it costs to test one image at batch size 1: seconds as medians, memory in MiB. "
        "Repeated measurements of the same settings are numbered."
    ),
    "memory": (
        "The memory banks of SPADE and PaDiM, calculated for WideResNet-50-2 in float32, and the "
        "printed megabytes."
    ),
    "speed": (
        "How much faster our code is, where we have a target, missed ones first. Methods take "
        "turns in one run. Each round gives a ratio: the seconds (or MiB) of the first method "
        "over those of the second. Medians and quartiles are over the rounds. In the column "
        "`in float32` ours computes in float32 too. In `teacher in every step` it also computes "
        "the teacher's features in every step, in float32. `at the limit` is what the ratio would "
        "be if both ran at the machine's full rate of matrix products."
    ),
    "speed_ratios": "Every ratio, of the first method to the second: medians and quartiles.",
    "speed_times": (
        "What each task takes: medians and quartiles over the rounds. A row without a stage is "
        "the whole task. The limit is the machine's measured rate of matrix products in the same "
        "precision."
    ),
    "speed_memory": (
        "Peak memory of each task in MiB, beyond that of the imported libraries. Notebooks and "
        "other whole processes include the libraries. Each method has a process of its own."
    ),
    "speed_growth": (
        "How our seconds grow: as a power of the number of images or pixels with this exponent, "
        "where 1 is linear. A fixed part of the time is set aside, and the next column has it."
    ),
    "speed_size": "What our tasks take, by number of images and resolution.",
    "speed_parts": "The parts of the benchmark: what each of them times.",
    "gpu": "What this project aims at on an H100, and what was measured, missed targets first.",
    "gpu_protocol": (
        "The paper's protocol on one category of MVTec AD on a GPU: seconds of each part of a run."
    ),
    "gpu_steps": (
        "The training step on a GPU, with the teacher's features kept there. The limit is the "
        "measured rate of large matrix products in the same precision."
    ),
    "gpu_inference": (
        "Testing on a GPU, from images in its memory to maps and scores. The limit is the same."
    ),
    "gpu_first": (
        "Earlier measurements of training on a GPU, before a step was one graph: images per "
        "second after the first epoch."
    ),
    "fast": (
        "The preset fast, with a tenth of the gradient steps, against paper: values in percent, "
        "differences (fast minus paper) and margins in points, misses first. The margin is the "
        "loss that this study tolerates for one category. Each line is judged by itself at the "
        "95 % level, so a few of many may be wrong by chance."
    ),
    "fast_spread": (
        "How far the results of fast and paper scatter, as standard deviations in points: over "
        "seeds, and over the last ten epochs of a training (mean of those seeds whose test set was "
        "looked at after each of these epochs)."
    ),
    "fast_collapses": (
        "How many trainings collapsed, with the lowest and the median image AUROC in percent. A "
        "training is far below paper if it lies more than ten points below the median of paper on "
        "the same data."
    ),
    "fast_steps": (
        "Fast with more epochs, beside fast and paper: which number of steps is enough? Values "
        "are means over seeds in percent, and differences (to paper, in pairs) are in points."
    ),
    "fast_2000": (
        "The settings of fast at 2,000 steps, next to the printed values of two papers, in "
        "percent. The printed values are at 256 px, and ours at the size that each line names. "
        "ReContrast trains for 2,000 steps and adapts its encoder. Both papers use "
        "WideResNet-50-2. Our teacher is another one, so there is no verdict."
    ),
    "fast_seconds": (
        "The seconds of training of fast and paper on one category: the least of the runs with "
        "the same seeds and categories, since other work on the machine only adds to them. Those "
        "of a run are its epochs times the median over its epochs. An arm that is "
        "non-inferior reaches the quality of paper in this time at the latest. A dash: older code "
        "trained these rows."
    ),
    "fast_log": (
        "The trials by which fast was chosen, on development data, in their order. Values are "
        "mean losses against paper in margins of each metric: -1 is a loss as large as the "
        "margin, and a gain counts as no loss. They are shown for four embedded categories, for "
        "all fifteen, and for images with pasted defects. The score, the mean of the last two, "
        "decided among the trials that have one. It hides single losses, so the next two columns "
        "count and name them. The reference is one seed of paper at its last epoch: seeds 2 and 3 "
        "of a trial are compared with its seed 1."
    ),
    "table5_shape": "The steps of Table 5 in our runs, in percent and points.",
    "table6_shape": "The steps of Table 6 in our runs, in percent and points.",
    "table7_shape": "The steps of Table 7 in our runs, in percent and points.",
    "table5_order": "The order of Table 5's columns in our runs.",
    "table6_order": "The order of Table 6's columns in our runs.",
    "table7_order": "The order of Table 7's columns in our runs.",
    "novelty": (
        "Novelty detection: image AUROC averaged over the classes, in percent. The interval over "
        "images belongs to the newest seed alone, so it need not contain the mean over seeds."
    ),
    "novelty_classes": (
        "Novelty detection by normal class with the preset novelty_official, in percent, and "
        "where one more seed would lie (95 % prediction interval)."
    ),
    "novelty_grid": (
        "What each switch changes in novelty detection, in points of image AUROC. One class of "
        f"each data set is used: {CHOICE_TRAIN} of its training images train. {CHOICE_TEST} "
        f"others of it and {CHOICE_TEST} of the other classes validate. The first line is "
        "novelty_official itself, in percent."
    ),
    "medical_columns": (
        "The columns of the extension's Table 3 and our runs of each reading, image AUROC in "
        "percent. The extension prints no intervals; we calculated them from its numbers of "
        "images."
    ),
    "medical_again": (
        "Another seed and other folds, and where they were predicted to lie, in percent."
    ),
    "medical_steps": "What one column of the extension's Table 3 adds to another, in points.",
    "medical_habits": (
        "What each habit of the extension's code changes, in points of image AUROC."
    ),
    "medical_long": (
        "One fold at the number of epochs that the published code runs, image AUROC in percent."
    ),
    "medical_earlier": (
        "Head CT by the earlier, random split: image AUROC in percent, changes in points."
    ),
    "rotation": "Results on rotated test images by angle, in percent.",
    "rotation_effects": (
        "What rotating the test images changes, in points of image AUROC against upright images."
    ),
    "coverage": "How often the intervals of this study contain the truth, in simulations.",
    "effects": "The measured effect of each deviation: the changed setting minus the default.",
    "claims": "The claims of both papers, with the evidence and our verdicts.",
}

# One or two sentences for each term that tables use.
GLOSSARY = {
    # what is compared
    "printed": 'The value in the paper, exactly as printed. "-" means that nothing was printed.',
    "ours": "The mean over our runs.",
    "delta": "Our value minus the printed value, in points.",
    "point": "One percentage point, the unit of every difference between two percentages.",
    "printed protocol": (
        "The runs used the paper's own settings and data. Only such runs enter the printed tables "
        "and get a verdict."
    ),
    "reduced": (
        "Real data, but fewer of them, or with other settings than the paper's. The table names "
        "what differs."
    ),
    "embedded": (
        "Images that are drawn by this package. They show that it runs and finds drawn defects. No "
        "printed value is comparable."
    ),
    "tier": (
        "How near the runs come to the paper's protocol: printed protocol, reduced, embedded, or "
        "not run."
    ),
    "differs in": (
        "The settings in which a run differs from the paper's protocol, besides those in columns "
        "of their own."
    ),
    # verdicts
    "verdict": "The outcome of the comparison of our runs with one printed value.",
    "reproduced": (
        "The 90 % interval over seeds lies within the margin that was declared around the printed "
        "value."
    ),
    "differs": "The 95 % interval over seeds lies outside the declared margin.",
    "close": "Neither reproduced nor different: the interval crosses the edge of the margin.",
    "no verdict": "Fewer than three seeds ran, or no margin was declared for this value.",
    "incomplete": "Some of the categories, classes or folds that the value averages have not run.",
    "not run": "No run of ours followed the protocol of this cell.",
    "not printed": 'The paper prints a dash ("-") here.',
    "overlaps": (
        "One of our intervals and the printed value's interval share at least one value. These "
        "intervals are wide, so overlap is weak evidence."
    ),
    "does not overlap": "None of our intervals shares a value with the printed value's interval.",
    "margin": "The largest difference, in points, that still counts as reproduced.",
    "order": "Whether our runs put the columns in the order in which the paper puts them.",
    "tied": "Our intervals cannot tell which of the columns is better.",
    "resolved": "The interval of a difference does not contain 0, so its sign is known.",
    "not resolved": "The interval of a difference contains 0, so its sign is not known.",
    "larger than noise": "The printed step is larger than chance alone would explain.",
    "not shown": (
        "The runs cannot decide. A printed step could be chance, or a loss could be larger or "
        "smaller than the margin."
    ),
    "non-inferior": (
        "The lower bound of the one-sided 95 % interval of the difference lies above the negative "
        "margin: a loss as large as the margin is excluded."
    ),
    "worse": (
        "The upper bound of the one-sided 95 % interval of the difference lies below the negative "
        "margin: the loss is larger than the margin."
    ),
    "lower bound": "Where the one-sided 95 % t-interval of the mean difference begins.",
    "pairs": "How often both settings were trained with the same seed on the same data.",
    "arm": (
        "One of the settings that are compared: `paper`, `fast`, 2,000 steps, or `fast` with "
        "another number of epochs."
    ),
    "far below paper": (
        "The number of trainings that lie more than ten points of image AUROC below the median of "
        "`paper` on the same data."
    ),
    "beyond the margin": (
        "How many values, of one for each data set and metric, lost more than the margin."
    ),
    "size of the checkpoint": (
        "The weights in the official checkpoint, in MiB (2^20 bytes). They include a layer that is "
        "never used, and exclude the teacher."
    ),
    # numbers
    "seeds": "The number of independent repetitions.",
    "sd": "The standard deviation over seeds.",
    "interval": "A 95 % confidence interval, over seeds unless the column says otherwise.",
    "over seeds": (
        "A 95 % t-interval over seeds: how far another training could move the mean. It may pass "
        "100 %."
    ),
    "over images": (
        "A 95 % interval over test images: how far other images of the same kind could move the "
        "result. It does not include another training."
    ),
    "over folds": (
        "A 95 % t-interval over folds. Every fold trains a new model on other normal images and "
        "tests the rest."
    ),
    "fold": "One of five parts of the normal images. It is tested, and the other four train.",
    "one more fold": "Where one further fold would lie: a 95 % prediction interval.",
    "collapsed": (
        "The number of trainings that fell more than ten points below the median of their "
        "repetitions."
    ),
    "noise": (
        "How large a difference between two columns could be by chance, with as few normal test "
        "images as the extension used."
    ),
    "px": "The side of the square input image, in pixels.",
    "epochs": "How often training passes over all training images.",
    "steps": "The number of gradient steps, as a mean over the classes.",
    # metrics
    "AUROC": (
        "The area under the ROC curve: the probability that an anomalous sample scores higher "
        "than a normal one. 50 % is chance and 100 % is perfect."
    ),
    "image AUROC": "AUROC with one score for each image: is there a defect in it?",
    "pixel AUROC": "AUROC with one score for each pixel: where is the defect?",
    "PRO": (
        "Per-region overlap: the share of each defect region that is found, averaged over regions "
        "and over thresholds up to a false-positive rate of 30 %. This is the authors' formula."
    ),
    "AUPRO": "The same measure as PRO, calculated exactly over the whole test set.",
    "recall at Youden's J": (
        "The share of defect pixels that are found at the best single threshold. The extension "
        "prints this as PRO."
    ),
    # methods
    "teacher": "The pre-trained network, which is never trained here.",
    "student": "The network that learns to restore the teacher's features of normal images.",
    "bottleneck": (
        "The block between teacher and student. MFF fuses the teacher's layers, and OCE compresses "
        "them."
    ),
    "preset": "A named set of settings, such as `paper` or `demo`.",
    "batch norms": (
        "Whether the teacher's batch-normalisation statistics move during training (`train`, as in "
        "the extension's code) or not (`frozen`, as in its text)."
    ),
    "reading": (
        "One way to understand a column of the extension's Table 3, where its text and its code "
        "leave several."
    ),
    "official": (
        "In tables of speed: the authors' training step and evaluation, restated here in float32 "
        "and tested against values from their code."
    ),
    "features kept": (
        "The teacher's features of every training image are computed once and kept. The "
        "alternative is to compute them in each step."
    ),
    "graph": "A CUDA graph: the kernels of a training step, launched as one.",
    "memory bank": "The stored training features that PaDiM and SPADE compare a test image with.",
}


def explained(terms: Iterable[str]) -> dict[str, str]:
    """The glossary's sentences for those of the terms that it has, in the glossary's order."""
    wanted = set(terms)
    return {term: text for term, text in GLOSSARY.items() if term in wanted}
