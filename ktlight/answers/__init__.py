"""Answers: the one way to ask a model about images, live or from the store."""
