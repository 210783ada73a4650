"""The study of many runs: tables, verdicts, figures and the report. No import loads torch."""
