"""Networks and losses between the spaces of a collaborative model, of texts and of a language model."""
