"""Draw negatives and candidates, and remove training interactions for cold-start experiments.

`pairs` draws the negatives that RecBole draws, without its Python loops. `candidates` gives every model the
same candidates in a sampled evaluation. `cold_start` removes training interactions after the split.
"""
