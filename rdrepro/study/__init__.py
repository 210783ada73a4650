"""The study of many runs: tables, verdicts, figures and the report. It imports without torch."""
