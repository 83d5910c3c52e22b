"""From item vectors to starting tables: pure functions of arrays."""
