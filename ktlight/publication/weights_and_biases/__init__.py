"""Weights & Biases: runs, pages and a workspace. Nothing that goes wrong there fails what is logged there."""
