"""What people look at: figures, tables for papers, and the page."""
