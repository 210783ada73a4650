"""Data sets. Items are dicts with `image`, `gt_label`, `defect`, `path` and, in some, `gt_mask`."""
