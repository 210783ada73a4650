"""What each notebook of the report shows: tables with captions, verdicts and figures."""
