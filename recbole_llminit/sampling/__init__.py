"""Negative sampling without RecBole's Python loops."""
