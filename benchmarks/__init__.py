"""Measurements, and scripts that write generated files. The Makefile's targets start them."""
