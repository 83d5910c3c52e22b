"""Which items a user is trained and ranked against, and which interactions are taken away on purpose.

`pairs` draws RecBole's negatives without its Python loops, `candidates` keeps those of a sampled evaluation
the same for every model, `cold_start` takes training interactions from items or users after the split.
"""
