"""Add to RecBole's evaluation: a faster full ranking, metrics of groups, and statistics over seeds.

`full_ranking` and `batching` compute RecBole's full ranking without its Python loops. `groups` splits
metrics by user activity and item popularity, `spectrum` computes the singular values of trained tables, and
`statistics` compares variants over seeds.
"""
