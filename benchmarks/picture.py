"""README's picture, from embedded data: `make picture` (a minute on two cores)."""

import numpy as np

import rdrepro as rd

CATEGORIES = ("carpet", "hazelnut", "cable")
DEFECTS_EACH = 2  # the first two kinds of defect, by name; of each the image of median score


def main() -> None:
    items, maps, titles = [], [], []
    for category in CATEGORIES:
        run = rd.resolve(preset="demo", category=category, data_seed=2)
        test = run.dataset("test")
        trained = rd.train(run, run.dataset("train"))
        predictions = rd.predict(trained.model, test, run.config, run.device)
        cases = rd.choose_cases(predictions, "defect")
        for kind, index in list(cases.items())[:DEFECTS_EACH]:
            items.append(test[index])
            maps.append(predictions.maps[index])
            titles.append(f"{category}: {kind}".replace("_", " "))
    figure, axes = rd.new_figure(len(CATEGORIES), 3 * DEFECTS_EACH, size=(1.6, 1.67))
    rd.plot_overlays(axes, items, np.stack(maps), titles)
    rd.save_figure(figure, "demo")


if __name__ == "__main__":
    main()
