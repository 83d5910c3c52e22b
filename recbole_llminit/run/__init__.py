"""Everything that happens before and after the training and evaluation of one run.

Before it, `validate` checks the input without creating any file, and `materialize` prepares the dataset and
encodes the item vectors if they are missing. After it, `record` writes the result file, to which
`diagnostics` contributes.
"""
