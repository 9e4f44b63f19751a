"""What one transfer did: map, tables, figures, page."""
