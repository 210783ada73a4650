"""Data sets, whose items are dicts: `image`, `gt_label`, `defect`, `path`, some also `gt_mask`."""
