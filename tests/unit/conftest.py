"""Hypothesis without deadlines: a busy machine must fail no test."""

from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
