"""Programs that measure this project; `results/` holds their output."""
