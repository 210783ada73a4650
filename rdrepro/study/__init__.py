"""The study of many runs: tables, verdicts, figures and the report. Its imports load no torch."""
