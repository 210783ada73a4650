"""The report as one HTML file: its notebooks are executed, and their outputs become a page."""

NOTEBOOKS = ("10_results", "11_novelty", "12_medical", "13_ablations", "14_deviations")
