"""Frozen collaborative models: loaded from a checkpoint, compared with the run, read by adapters."""
