"""The ground that every room stands on: small helpers that know nothing of RecBole's models or data.

Errors that the user can mend (`errors`), files that appear whole or not at all (`writing`), checked values
of config keys (`values`), typed dataclasses from YAML, JSON and flags (`schema`, `yaml`), clients of
endpoints that speak OpenAI's protocol (`endpoint`), and what long work prints (`progress`).
"""
