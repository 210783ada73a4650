"""Many runs: from rows to tables, verdicts, figures and the report. Nothing here needs torch."""
