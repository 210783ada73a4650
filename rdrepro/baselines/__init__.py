"""The papers' baselines: PaDiM and SPADE (Table 3), MKD (the extension's Tables 1-3)."""
