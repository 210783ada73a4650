"""README's picture, from embedded data: `make picture` (a minute on two cores)."""

import matplotlib.pyplot as plt
import numpy as np

import rdrepro as rd
from rdrepro.figures import MAP_COLOURS, MAP_OPACITY, show_image
from rdrepro.paths import ROOT

CATEGORIES = ("carpet", "hazelnut", "cable")
DEFECTS_EACH = 2  # the first two kinds of defect, by name; their first image


def main() -> None:
    figure, axes = plt.subplots(
        len(CATEGORIES), 3 * DEFECTS_EACH, figsize=(9.6, 5), layout="constrained"
    )
    drawn = []
    for row, category in zip(axes, CATEGORIES, strict=True):
        run = rd.resolve(preset="demo", category=category, data_seed=2)
        test = run.dataset("test")
        trained = rd.train(run, run.dataset("train"))
        predictions = rd.predict(trained.model, test, run.config, run.device)
        kinds = sorted(set(predictions.defects) - {"good"})[:DEFECTS_EACH]
        for cells, kind in zip(row.reshape(-1, 3), kinds, strict=True):
            index = predictions.defects.index(kind)
            drawn.append((cells, test[index], predictions.maps[index], f"{category}: {kind}"))
    highest = max(np.quantile(amap, 0.999) for _, _, amap, _ in drawn)
    for cells, item, amap, title in drawn:
        shown = draw(cells, item, amap, title, highest)
    figure.colorbar(shown, ax=axes, label="anomaly map, one scale for all", shrink=0.6)
    target = ROOT / "results" / "figures" / "demo.png"
    target.parent.mkdir(exist_ok=True)
    figure.savefig(target, dpi=90)


def draw(cells, item, amap, title, highest):
    """Draw image, outlined truth and map in three cells; return what carries the colours."""
    titles = (title, "ground truth", "anomaly map")
    for ax, text in zip(cells, titles, strict=True):
        ax.set_title(text.replace("_", " "), fontsize=8)
        ax.axis("off")
    cells[0].imshow(item["image"].permute(1, 2, 0).numpy())
    show_image(cells[1], item)
    cells[2].imshow(item["image"].mean(dim=0).numpy(), cmap="gray")
    return cells[2].imshow(amap, cmap=MAP_COLOURS, alpha=MAP_OPACITY, vmin=0, vmax=highest)


if __name__ == "__main__":
    main()
