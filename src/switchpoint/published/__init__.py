"""The papers' claims, recomputed from their released points."""
