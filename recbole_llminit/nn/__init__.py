"""What several models compute with: networks and losses that know no config, dataset or file.

The user-item graph and LightGCN's propagation over it (`adjacency`, `propagation`, `receptive_field`),
contrastive and softmax losses (`contrastive`, `softmax`), and the projection of text vectors to item
vectors (`text_projection`).
"""
