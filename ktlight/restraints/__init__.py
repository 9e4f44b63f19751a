"""Restraints on the student's weights during training."""
