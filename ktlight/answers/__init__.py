"""Answers: the only way to get a model's outputs on images, live or from the store."""
