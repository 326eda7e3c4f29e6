"""Logs of other trainers and harnesses as curves, losses and runs."""
