"""Use trained models from RecBole checkpoints as frozen parts of another run.

`checkpoint` loads a model and refuses it if it was trained with another dataset, split or filter than the
run's: it may have seen test interactions. `identity` says which run made a checkpoint, and in what another
run differs from it. `adapters` has one function for each supported model, which reads its user states and
item vectors.
"""
