"""Frozen causal language models: loading, prompts with vectors in them, likelihoods of titles."""
