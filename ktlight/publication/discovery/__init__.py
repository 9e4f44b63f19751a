"""What a discovery found: map, tables, figures, page."""
