"""Trainings too long for a page, recorded: ``python -m experiments``."""
