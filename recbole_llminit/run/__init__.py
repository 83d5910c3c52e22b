"""What happens around one run.

Before it, `validate` reads the input and refuses what is wrong, and makes nothing; `materialize` prepares
and encodes what is missing. After it, `record` writes the result file, with what `diagnostics` adds.
"""
