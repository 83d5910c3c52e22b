"""Small helpers for all other packages, independent of RecBole's models and data.

They are: errors that the user can fix (`errors`), atomic writing of files (`writing`), checked values of
config keys (`values`), typed dataclasses from YAML, JSON and flags (`schema`, `yaml`), clients of endpoints
with OpenAI's protocol (`endpoint`), and progress messages (`progress`).
"""
