"""Every figure as an altair chart made of plain columns."""
