"""Stages: how one transfer is put together of trainings, schedules, guards and checks."""
