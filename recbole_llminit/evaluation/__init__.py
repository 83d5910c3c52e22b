"""What RecBole's evaluation lacks: speed, groups, and statistics over seeds.

`full_ranking` and `batching` rank all items in RecBole's numbers without its Python loops, `groups` splits
metrics by user activity and item popularity, `spectrum` looks at trained tables, `statistics` compares seeds.
"""
