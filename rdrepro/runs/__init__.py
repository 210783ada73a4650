"""One run: from parameters to a row."""
