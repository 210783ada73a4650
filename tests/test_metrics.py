"""Each metric: a case by hand, an oracle, an invariance."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, label
from scipy.stats import mannwhitneyu
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from rdrepro.metrics import (
    aupro,
    aupro_official,
    auroc,
    average_precision,
    f1_max,
    pro_curve,
    rank,
    region_weights,
    youden_threshold,
)

SCORES, LABELS = [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]


def random_case(seed, n=5, size=24, levels=None):
    """Maps and masks; with `levels`, scores take few values, so that there are many ties."""
    rng = np.random.default_rng(seed)
    masks = gaussian_filter(rng.random((n, size, size)), (0, 2, 2)) > 0.53
    masks[0] = False
    maps = rng.random((n, size, size)) + 0.6 * masks + rng.normal(0, 0.3, (n, 1, 1))
    return (np.round(maps * levels) / levels if levels else maps), masks


def values_of(dtype):
    """A few values of a number type: its extremes, neighbours, and both zeros."""
    if not np.issubdtype(dtype, np.floating):
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        return np.array([low, low + 1, 7, high - 1, high], dtype)
    kind = np.finfo(dtype)
    one = [1, np.nextafter(dtype(1), dtype(2))]
    ends = [kind.min, kind.max, -kind.smallest_subnormal, kind.smallest_subnormal]
    return np.array([-0.0, 0.0, *one, *ends], dtype)


def brute_force_points(maps, masks):
    """The PRO curve by definition: a loop over every threshold and every region."""
    regions = [
        (i, components == r)
        for i, (components, count) in enumerate(label(m, np.ones((3, 3))) for m in masks)
        for r in range(1, count + 1)
    ]
    points = [(0.0, 0.0)]
    for threshold in np.unique(maps)[::-1]:
        above = maps >= threshold
        pro = np.mean([above[i][region].mean() for i, region in regions])
        points.append((above[~masks].mean(), pro))
    return points


def area_up_to(points, limit):
    """The area under a curve up to a false positive rate, as a share of that rate."""
    area = 0.0
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if x1 >= limit:
            y1 = y0 + (y1 - y0) * (limit - x0) / (x1 - x0) if x1 > x0 else y0
            return (area + (limit - x0) * (y0 + y1) / 2) / limit
        area += (x1 - x0) * (y0 + y1) / 2
    raise AssertionError


def official_pro(maps, masks):
    """The authors' formula, threshold by threshold, from its description (facts of D16)."""
    results = []
    for amap, mask in zip(maps, masks, strict=True):
        if not mask.any():
            continue
        components, count = label(mask, np.ones((3, 3)))
        fprs, pros = [], []
        for t in np.arange(amap.min(), amap.max(), (amap.max() - amap.min()) / 200):
            above = amap > t
            pros.append(np.mean([above[components == r].mean() for r in range(1, count + 1)]))
            fprs.append(above[~mask].mean())
        fprs, pros = np.array(fprs), np.array(pros)
        pros, fprs = pros[fprs < 0.3], fprs[fprs < 0.3]
        results.append(-np.trapezoid(pros, fprs / fprs.max()))
    return np.mean(results)


def test_image_metrics_by_hand():
    assert auroc(SCORES, LABELS) == pytest.approx(3 / 4)  # one of four pairs is ranked wrong
    assert average_precision(SCORES, LABELS) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert f1_max(SCORES, LABELS) == pytest.approx(0.8)  # threshold 0.35: P = 2/3, R = 1
    assert youden_threshold([0.1, 0.2, 0.3, 0.9], LABELS) == pytest.approx(0.3)


@pytest.mark.parametrize("values", [1, None], ids=["all equal", "tied"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8, np.int64])
def test_metrics_of_any_number_type_equal_scikit_learns(dtype, values):
    rng = np.random.default_rng(3)
    labels = rng.random(60) < 0.3
    scores = rng.choice(values_of(dtype)[:values], 60)
    precision, recall, _ = precision_recall_curve(labels, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    fpr, tpr, thresholds = roc_curve(labels, scores, drop_intermediate=False)
    best = 1 + np.argmax((tpr - fpr)[1:])
    exactly = {"abs": 1e-12, "rel": 0}
    assert auroc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), **exactly)
    expected = average_precision_score(labels, scores)
    assert average_precision(scores, labels) == pytest.approx(expected, **exactly)
    assert f1_max(scores, labels) == pytest.approx(f1.max(), **exactly)
    assert youden_threshold(scores, labels) == thresholds[best]
    assert rank(scores, labels).youden() == (thresholds[best], tpr[best])


@pytest.mark.parametrize("levels", [None, 8])
@pytest.mark.parametrize("seed", range(5))
def test_metrics_of_pixels_equal_scikit_learns(seed, levels):
    maps, masks = random_case(seed, levels=levels)
    scores, labels = maps.ravel(), masks.ravel()
    precision, recall, _ = precision_recall_curve(labels, scores)
    fpr, tpr, thresholds = roc_curve(labels, scores)
    exactly = {"abs": 1e-12, "rel": 0}
    assert auroc(maps, masks) == pytest.approx(roc_auc_score(labels, scores), **exactly)
    expected = average_precision_score(labels, scores)
    assert average_precision(maps, masks) == pytest.approx(expected, **exactly)
    f1 = 2 * precision * recall / (precision + recall)
    assert f1_max(maps, masks) == pytest.approx(f1.max(), **exactly)
    assert youden_threshold(maps, masks) == thresholds[np.argmax(tpr - fpr)]


@pytest.mark.parametrize(
    "device",
    [
        pytest.param("cpu:0", id="torch on the CPU"),  # "cpu" alone is NumPy
        pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="")),
    ],
)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8, np.int64])
def test_ranks_are_the_same_on_every_device(device, dtype):
    rng = np.random.default_rng(5)
    labels = rng.random(60) < 0.3
    scores = rng.choice(values_of(dtype), 60)
    here, there = rank(scores, labels), rank(scores, labels, device)
    for name, expected in vars(here).items():
        np.testing.assert_array_equal(getattr(there, name), expected, err_msg=name)


def test_ranks_are_computed_on_the_device_that_is_named():
    with pytest.raises(RuntimeError, match="nowhere"):
        rank(SCORES, LABELS, "nowhere")


def test_auroc_is_the_mann_whitney_statistic():
    rng = np.random.default_rng(0)
    labels = rng.random(200) < 0.3
    scores = np.round(rng.normal(size=200) + labels, 1)
    u = mannwhitneyu(scores[labels], scores[~labels]).statistic
    assert auroc(scores, labels) == pytest.approx(u / labels.sum() / (~labels).sum())


def test_the_extensions_youden_threshold_differs_below_an_auroc_of_five_eighths_alone():
    """Its code maximises |TPR - FPR| (E13).

    The highest AUROC of a curve that is at least as far below the diagonal as above it is 5/8.
    """
    differ = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        labels = np.arange(40) % 2 == 0
        scores = rng.normal(size=40) + rng.uniform(-1, 1) * labels
        scores[rng.integers(40, size=8)] += 6 * rng.normal()
        fpr, tpr, thresholds = roc_curve(labels, scores, drop_intermediate=False)
        theirs = thresholds[np.argmax(np.abs(tpr - fpr))]
        below, above = (fpr - tpr).max(), (tpr - fpr).max()
        if below > above:
            assert theirs != youden_threshold(scores, labels)
            differ.append(auroc(scores, labels))
        elif below < above:
            assert theirs == youden_threshold(scores, labels)
    assert 100 < len(differ) < 300 and max(differ) < 5 / 8


def test_an_auroc_of_five_eighths_is_reached_where_the_curve_is_as_far_below_as_above():
    # TPR is 0 up to FPR 1/4, jumps to 1/2 there and then runs beside the diagonal up to 1.
    n = 250
    labels = np.array([0] * n + [1] * 2 * n + [1, 0] * 2 * n + [0] * n)
    scores = np.arange(labels.size)[::-1]
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert (fpr - tpr).max() == pytest.approx((tpr - fpr).max(), abs=1 / n) == 1 / 4
    assert auroc(scores, labels) == pytest.approx(5 / 8, abs=1 / n)


def test_youden_threshold_and_f1_by_brute_force():
    rng = np.random.default_rng(1)
    labels = rng.random(100) < 0.4
    scores = rng.normal(size=100) + labels
    youden = [(scores[labels] >= t).mean() - (scores[~labels] >= t).mean() for t in scores]
    assert youden_threshold(scores, labels) == scores[np.argmax(youden)]
    f1 = [2 * (labels & (scores >= t)).sum() / (labels.sum() + (scores >= t).sum()) for t in scores]
    assert f1_max(scores, labels) == pytest.approx(max(f1))


def test_aupro_by_hand():
    # Two regions, one pixel and three; ten normal pixels. The small region is found at once, the
    # large one only behind all normal pixels: PRO is one half at every FPR up to the limit.
    masks = np.zeros((1, 2, 7), bool)
    masks[0, 0, 0] = masks[0, 0, 4:7] = True
    maps = np.zeros((1, 2, 7))
    maps[~masks] = np.linspace(0.4, 0.6, 10)
    maps[0, 0, 0], maps[0, 0, 4:7] = 1.0, 0.1
    assert aupro(maps, masks) == pytest.approx(0.5)
    assert auroc(maps, masks) == pytest.approx(0.25)  # pixels, not regions, count here


def test_pixels_that_touch_at_a_corner_are_one_region():
    masks = np.zeros((1, 6, 6), bool)
    masks[0, 0, 0] = masks[0, 1, 1] = masks[0, 4, 4] = True
    maps = np.where(masks, 0.0, np.linspace(0.1, 0.9, 36).reshape(1, 6, 6))
    maps[0, 0, 0] = 1.0
    assert aupro(maps, masks) == pytest.approx((1 / 2 + 0) / 2)  # half of one region of two
    assert aupro_official(maps, masks) == pytest.approx(official_pro(maps, masks))


def test_constant_maps_lie_on_the_diagonal():
    masks = np.zeros((2, 8, 8), bool)
    masks[0, 2:4, 2:4] = True
    assert aupro(np.ones((2, 8, 8)), masks) == pytest.approx(0.15)  # limit / 2
    assert np.isnan(aupro_official(np.ones((2, 8, 8)), masks))


@pytest.mark.parametrize("levels", [None, 8, 2])
@pytest.mark.parametrize("seed", range(3))
def test_aupro_equals_brute_force(seed, levels):
    maps, masks = random_case(seed, levels=levels)
    points = brute_force_points(maps, masks)
    for limit in (0.05, 0.3, 1.0):
        expected = area_up_to(points, limit)
        assert aupro(maps, masks, limit) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("levels", [None, 8])
def test_official_aupro_equals_its_description(levels):
    maps, masks = random_case(7, levels=levels)
    assert aupro_official(maps, masks) == pytest.approx(official_pro(maps, masks), abs=1e-12)


def one_threshold_below_the_limit():
    """A map and a mask whose FPR is below 0.3 at the last of the 200 thresholds alone."""
    amap, mask = np.zeros((1, 10, 10)), np.zeros((1, 10, 10), bool)
    amap[0, :2], amap[0, 2:6] = 1, 0.9925  # FPR 17/97 at 0.995, 57/97 at 0.99 and below
    mask[0, 0, :3] = True
    return amap, mask


def test_official_aupro_is_undefined_where_one_threshold_lies_below_the_limit():
    amap, mask = one_threshold_below_the_limit()
    assert np.isnan(aupro_official(amap, mask))
    assert 0 < aupro(amap, mask) < 1


def test_an_image_whose_official_area_is_undefined_is_left_out_of_the_mean():
    maps, masks = random_case(7, size=10)
    amap, mask = one_threshold_below_the_limit()
    both = aupro_official(np.concatenate([maps, amap]), np.concatenate([masks, mask]))
    assert both == aupro_official(maps, masks)


@pytest.mark.parametrize("high", [1e-44, 3e38], ids=["too small", "too large"])
def test_official_aupro_is_undefined_where_the_range_cannot_be_divided(high):
    amap, mask = one_threshold_below_the_limit()
    maps = np.where(amap > 0, high, -high if high > 1 else 0).astype(np.float32)
    assert np.isnan(aupro_official(maps, mask))


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("metric", [auroc, average_precision, f1_max, aupro, aupro_official])
def test_a_single_image_of_one_defect_has_every_metric_or_nan(metric, constant):
    amap, mask = one_threshold_below_the_limit()
    found = metric(np.ones_like(amap) if constant else amap, mask)
    assert np.isnan(found) == (metric is aupro_official) and not found > 1


@pytest.mark.parametrize("metric", [aupro, aupro_official])
def test_maps_without_a_defect_are_refused_in_a_sentence(metric):
    with pytest.raises(ValueError, match="all 100 labels are normal; the metric needs both kinds"):
        metric(np.zeros((1, 10, 10)), np.zeros((1, 10, 10), bool))


def test_official_aupro_ignores_normal_images_and_image_offsets():
    maps, masks = random_case(8)
    offset = maps + np.arange(len(maps))[:, None, None]
    assert aupro_official(offset, masks) == pytest.approx(aupro_official(maps, masks))
    assert aupro_official(maps[1:], masks[1:]) == aupro_official(maps, masks)
    assert aupro(offset, masks) != pytest.approx(aupro(maps, masks), abs=0.01)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_exact_metrics_depend_on_the_order_alone(seed, scale, shift):
    maps, masks = random_case(seed, n=3, size=16, levels=50)
    other = np.exp(scale * maps / 10 + shift)
    for metric in (auroc, average_precision, f1_max, aupro):
        assert metric(other, masks) == pytest.approx(metric(maps, masks))


@pytest.mark.parametrize("levels", [None, 8])
@pytest.mark.parametrize("limit", [0.05, 1.0])
def test_pro_curve_equals_brute_force_up_to_the_first_point_at_the_limit(levels, limit):
    maps, masks = random_case(4, levels=levels)
    points = np.array(brute_force_points(maps, masks))
    end = 1 + np.argmax(points[:, 0] >= limit)
    curve = np.transpose(pro_curve(maps, masks, limit))
    np.testing.assert_allclose(curve, points[:end], rtol=0, atol=1e-12)


def test_weights_of_regions_by_hand():
    masks = np.zeros((2, 3, 5), bool)
    masks[0, 0, 0] = masks[0, 1:, 3:] = masks[1, 2, :2] = True  # regions of 1, 4 and 2 pixels
    expected = np.array([1, 1 / 4, 1 / 4, 1 / 4, 1 / 4, 1 / 2, 1 / 2]) / 3
    np.testing.assert_allclose(region_weights(masks), expected, rtol=1e-15)


def test_regions_count_alike_whatever_their_size():
    rng = np.random.default_rng(2)
    maps = rng.random((1, 40, 40))
    masks = np.zeros((1, 40, 40), bool)
    masks[0, 1:3, 1:3] = masks[0, 10:30, 10:30] = True
    maps[0, 1:3, 1:3] += 1
    curve = dict(zip(*pro_curve(maps, masks), strict=True))
    assert curve[0.0] >= 0.5  # the small region alone


def test_pro_curve_begins_at_the_origin_rises_and_ends_at_one():
    fpr, pro = pro_curve(*random_case(9))
    assert (fpr[0], pro[0]) == (0, 0)
    assert (fpr[-1], pro[-1]) == (1, pytest.approx(1))
    assert (np.diff(fpr) >= 0).all() and (np.diff(pro) >= 0).all()


@pytest.mark.parametrize("metric", [auroc, average_precision, f1_max, youden_threshold])
@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([0.1, 0.2], [0, 0], "all 2 labels are normal"),
        ([0.1, 0.2], [1, 1], "all 2 labels are anomalous"),
        ([0.1, np.nan], [0, 1], "1 scores are not finite"),
        ([0.1], [0, 1], "differ in shape"),
    ],
)
def test_meaningless_input_is_refused(metric, scores, labels, message):
    with pytest.raises(ValueError, match=message):
        metric(scores, labels)


@pytest.mark.parametrize("limit", [0, -0.1, 1.1])
def test_limit_outside_its_range_is_refused(limit):
    with pytest.raises(ValueError, match="must lie in"):
        aupro(*random_case(0), limit)
