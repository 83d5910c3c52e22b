"""The command line: ``recbole-llminit <verb>``, and the run script's entry."""

from __future__ import annotations

import argparse
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from recbole_llminit import __version__
from recbole_llminit.errors import UserError

_EXTRAS = {"faiss": "ncl", "hyperopt": "tune", "sentence_transformers": "encode"}
_RUN_EXAMPLE = """example:
  %(prog)s --model=LLMInitSGCL --dataset=ml-100k --llm_selection=var --seed=2020
any other key of RecBole or of props/ is given as --key=value, and wins over every file"""


_TUNE_EXAMPLE = """example:
  echo "learning_rate loguniform -8,-5" > space.test
  %(prog)s --model=LLMInitSGCL --dataset=ml-100k --params_file=space.test --algo=bayes --max_evals=20"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``recbole-llminit``; return 0, or 2 if the input is wrong."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="recbole-llminit",
        description="Start RecBole's recommenders from language-model vectors of the items' text.",
        epilog="verbs:\n" + "\n".join(f"  {verb:8}{command.__doc__}" for verb, command in _VERBS.items()),
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("verb", choices=_VERBS, help="each has its own --help with an example")
    verb = parser.parse_args(arguments[:1]).verb
    return _VERBS[verb](arguments[1:])


def guarded(command: Callable[[list[str]], None]) -> Callable[[list[str]], int]:
    """Turn an exception that the user can mend into one line and exit code 2."""

    def run_guarded(argv: list[str]) -> int:
        try:
            command(argv)
        except UserError as error:
            return _fail(str(error))
        except ImportError as error:
            return _fail(_missing(error))
        except ValueError as error:
            if message := _host_error(error):
                return _fail(message)
            raise
        except OSError as error:
            if error.filename is None:
                raise
            return _fail(f"{error.filename}: {error.strerror}")
        except Exception as error:
            if message := _child_error(str(error)):
                return _fail(message)
            raise
        return 0

    run_guarded.__doc__ = command.__doc__
    return run_guarded


def _fail(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2


def _missing(error: ImportError) -> str:
    """Say which package is missing and how to install it; let other import errors through."""
    name = (error.name or "").partition(".")[0]
    if name == "recbole":
        return "RecBole is not installed: pip install --no-deps recbole==1.2.1"
    if name in _EXTRAS:
        return f"this needs {name}: pip install 'recbole-llminit[{_EXTRAS[name]}]'"
    if name in ("lightgbm", "xgboost", "kmeans_pytorch", "dgl"):
        return f"this model needs {name}: pip install {name.replace('_', '-')}"
    if name:
        raise error
    return str(error)


def _host_error(error: ValueError) -> str | None:
    """Explain an error that RecBole raises about the user's data while it loads and splits it."""
    message = " ".join(str(error).split())
    known = {
        "Some feat is empty": "the filters leave no interaction: loosen user_inter_num_interval, "
        "item_inter_num_interval or val_interval",
        "interacted with all items": "a user has every item, so that no negative can be drawn: filter "
        "such users with user_inter_num_interval",
        "Training loss is nan": "the training loss is not a number: lower learning_rate",
        "not in inter_feat": f"{message} Add its column to the .inter file or to load_col",
    }
    frames = list(traceback.walk_tb(error.__traceback__))
    raised_in = str(frames[-1][0].f_globals.get("__name__", "")) if frames else ""
    of_the_data = raised_in.startswith(("recbole.data.", "recbole.config."))
    own_words = message if of_the_data else None
    return next((text for part, text in known.items() if part in message), own_words)


def _child_error(message: str) -> str | None:
    """Return what a process started by ``--nproc`` says of the user's input, from its traceback."""
    last = message.strip().splitlines()[-1] if message.strip() else ""
    name, found, text = last.partition("UserError: ")
    return text if found and name.startswith("recbole_llminit.") else None


def _run_parser(prog: str, description: str, example: str = _RUN_EXAMPLE) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=description,
        epilog=example,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", "-m", default="LLMInitSGCL", help="name of a model (%(default)s)")
    parser.add_argument("--dataset", "-d", default="ml-100k", help="name of a dataset (%(default)s)")
    parser.add_argument("--config_files", default="", help='YAML files: "a.yaml b.yaml"')
    parser.add_argument("--quiet", "-q", action="store_true", help="no log and no progress bars")
    return parser


def _overrides(parser: argparse.ArgumentParser, rest: list[str]) -> dict[str, str]:
    """Read the ``--key=value`` arguments; RecBole would drop any other form with a warning."""
    overrides = {}
    for argument in rest:
        key, equals, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or not equals:
            parser.error(f"argument '{argument}': write every key as --key=value")
        if "=" in value:
            raise UserError(f"argument '{argument}': put a value that holds '=' into a YAML file")
        overrides[key] = value
    return overrides


def _prepare(args: argparse.Namespace, overrides: dict[str, str]) -> list[str]:
    """Hand the overrides to RecBole's config, which reads ``sys.argv``, and check the input."""
    from recbole_llminit.preflight import checked_files

    if args.quiet:
        overrides = {"state": "WARNING", "show_progress": "False"} | overrides
    sys.argv = [sys.argv[0], f"--model={args.model}", f"--dataset={args.dataset}"]
    # `auto` is a question; the answer is the name that the protocol's file gives itself.
    answered = {k: v for k, v in overrides.items() if (k, v) != ("protocol", "auto")}
    sys.argv += [f"--{key}={value}" for key, value in answered.items()]
    return checked_files(
        args.model, args.dataset, args.config_files.split(), overrides, getattr(args, "nproc", 1)
    )


@guarded
def run(argv: list[str]) -> None:
    """Train and evaluate a model, the same as run_recbole_llminit.py."""
    parser = _run_parser("run_recbole_llminit.py", "Train and evaluate a RecBole model, plain or LLMInit<X>.")
    for flag, kind, value in (
        ("nproc", int, 1),
        ("ip", str, "localhost"),
        ("port", str, "5678"),
        ("world_size", int, -1),
        ("group_offset", int, 0),
    ):
        parser.add_argument(f"--{flag}", type=kind, default=value, help="as in RecBole (%(default)s)")
    parser.add_argument("--resume", metavar="PATH", help="go on from a checkpoint")
    parser.add_argument("--list-models", action="store_true", help="print every model and stop")
    args, rest = parser.parse_known_args(argv)
    if args.list_models:
        return _list_models()
    overrides = _overrides(parser, rest)
    if args.resume:
        overrides["resume"] = args.resume
    files = _prepare(args, overrides)
    from recbole.quick_start import run as recbole_run

    recbole_run(
        args.model,
        args.dataset,
        config_file_list=files,
        nproc=args.nproc,
        world_size=args.world_size,
        ip=args.ip,
        port=args.port,
        group_offset=args.group_offset,
    )


def _list_models() -> None:
    from tabulate import tabulate

    from recbole_llminit.registry import PREFIX, model_names

    names = model_names()
    rows = [
        (family.replace("_", "-"), name, PREFIX + name if PREFIX + name in names else "")
        for name, family in names.items()
        if not name.startswith(PREFIX)
    ]
    print(tabulate(rows, headers=["family", "plain", "initialised"]))


@guarded
def tune(argv: list[str]) -> None:
    """Search hyper-parameters with RecBole's HyperTuning."""
    parser = _run_parser(
        "recbole-llminit tune", "Search hyper-parameters with RecBole's HyperTuning.", _TUNE_EXAMPLE
    )
    parser.add_argument("--params_file", type=Path, required=True, help="search space in RecBole's format")
    parser.add_argument("--algo", choices=("exhaustive", "random", "bayes"), default="exhaustive")
    parser.add_argument("--max_evals", type=int, default=100, help="most trials of random and bayes")
    parser.add_argument("--early_stop", type=int, default=10, help="stop after so many trials without gain")
    parser.add_argument("--output_file", type=Path, help="where to write every trial's result")
    args, rest = parser.parse_known_args(argv)
    if not args.params_file.is_file():
        raise UserError(f"--params_file: '{args.params_file}' does not exist")
    overrides = _overrides(parser, rest)
    if "result_file" in overrides:
        raise UserError("result_file is of one run; name --output_file for the results of a search")
    files = _prepare(args, overrides)
    from recbole.quick_start import objective_function
    from recbole.trainer import HyperTuning

    search = HyperTuning(
        objective_function,
        params_file=str(args.params_file),
        fixed_config_file_list=files,
        algo=args.algo,
        max_evals=args.max_evals,
        early_stop=args.early_stop,
    )
    search.run()
    if args.output_file:
        search.export_result(output_file=str(args.output_file))
    print(f"best params: {search.best_params}")
    print(f"best result: {search.params2result[search.params2str(search.best_params)]}")


@guarded
def encode(argv: list[str]) -> None:
    """Make item vectors from text, or bring in a matrix."""
    parser = argparse.ArgumentParser(
        prog="recbole-llminit encode",
        description="Make a table of item vectors for a dataset, with its card.",
        epilog='examples:\n  %(prog)s beauty --template "{title}. {brand}"\n'
        '  %(prog)s beauty --from vectors.npy --ids ids.txt --encoder "what made them"',
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("dataset", help="name of a dataset")
    parser.add_argument("--encoder", default="all-mpnet-base-v2", help="model name or folder (%(default)s)")
    parser.add_argument("--template", help='text of an item, e.g. "{title}. {brand}"')
    parser.add_argument("--from", dest="matrix", type=Path, help="bring in (n_items, d) vectors: .npy")
    parser.add_argument("--ids", type=Path, help="item tokens of --from, one a line")
    parser.add_argument("--name", help="name of the table (the encoder's)")
    parser.add_argument("--atomic", action="store_true", help="write RecBole's text form, NAME.itememb")
    parser.add_argument("--quiet", "-q", action="store_true", help="no progress bar and no summary")
    parser.add_argument("--batch-size", type=int, default=32, help="texts per step (%(default)s)")
    parser.add_argument("--data-path", type=Path, default=Path("atomic_data"), help="folder of datasets")
    args = parser.parse_args(argv)
    from recbole_llminit.embedding import encode as make
    from recbole_llminit.embedding.table import ITEMEMB, save

    command = "recbole-llminit encode " + shlex.join(argv)
    items = make.item_file(args.data_path, args.dataset)
    if args.atomic and args.name:
        raise UserError("--atomic writes DATASET.itememb; --name belongs to the binary form")
    if (args.matrix is None) != (args.ids is None):
        raise UserError("--from and --ids go together: a matrix and the item token of each row")
    if args.matrix is not None:
        table = make.from_matrix(
            args.matrix,
            args.ids,
            encoder=args.encoder,
            template=args.template,
            item_file=items,
            command=command,
        )
    elif args.template is None:
        raise UserError(f"--template is missing: {make.columns_hint(items)}")
    else:
        table = make.from_texts(
            items,
            encoder=args.encoder,
            template=args.template,
            batch_size=args.batch_size,
            quiet=args.quiet,
            command=command,
        )
    name = args.dataset if args.atomic else args.name or Path(args.encoder).name
    suffix = ITEMEMB if args.atomic else "safetensors"
    file = args.data_path / args.dataset / f"{name}.{suffix}"
    save(table, file)
    if args.quiet:
        return
    print(f"{file}: {len(table.ids)} items, {table.vectors.shape[1]} dimensions, {table.vectors.dtype}")


@guarded
def report(argv: list[str]) -> None:
    """Print a table of result files."""
    parser = argparse.ArgumentParser(
        prog="recbole-llminit report",
        description="Print a table of result files.",
        epilog="example: %(prog)s saved/demo/*.json",
        allow_abbrev=False,
    )
    parser.add_argument("results", nargs="+", type=Path, help="files written by --result_file")
    parser.add_argument("--metrics", default="Recall@10,NDCG@10", help="comma-separated (%(default)s)")
    args = parser.parse_args(argv)
    from recbole_llminit.report.table import read_result, results_table

    print(results_table([read_result(file) for file in args.results], args.metrics.split(",")))


_VERBS = {"run": run, "tune": tune, "encode": encode, "report": report}

if __name__ == "__main__":
    sys.exit(main())
