"""Frozen models from RecBole checkpoints, as parts of another run.

`checkpoint` loads one and refuses it if its split, data or filters are not the run's: such a model may have
seen the test's items. `adapters` read its user states and item vectors, one function a model.
"""
