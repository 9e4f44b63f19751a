"""Stages: the trainings, schedules, guards and checks that make up a transfer."""
