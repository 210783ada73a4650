"""The networks of the paper: teacher, one-class bottleneck, student (Fig. 3)."""
