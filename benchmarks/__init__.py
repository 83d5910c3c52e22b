"""Programs that measure this project; `results/` holds what they printed."""
