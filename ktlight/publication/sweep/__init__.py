"""What many transfers did: statistics, tables, figures, page."""
