"""Train and evaluate any RecBole model, plain or started from item vectors.

Example: python run_recbole_llminit.py --model=LLMInitSGCL --dataset=ml-100k
"""

import sys

from recbole_llminit.cli import run  # at top level: spawned processes import this file to register the models

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
