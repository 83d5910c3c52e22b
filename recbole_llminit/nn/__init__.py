"""Networks and losses that several models share; they read no config, dataset or file.

These are the user-item graph and LightGCN's propagation over it (`adjacency`, `propagation`,
`receptive_field`), contrastive and softmax losses (`contrastive`, `softmax`), and the projection of text
vectors to item vectors (`text_projection`).
"""
