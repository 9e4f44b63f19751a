"""The page: one HTML file that needs nothing else, not even a network."""

from ktlight.publication.page.writer import write_page

__all__ = ["write_page"]
