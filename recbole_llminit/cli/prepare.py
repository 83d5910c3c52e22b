"""The verb ``prepare``, which makes datasets from raw data."""

from __future__ import annotations

import argparse
import shlex

from recbole_llminit.cli.arguments import add_data_path, add_quiet, verb_parser, whole
from recbole_llminit.cli.guard import guarded
from recbole_llminit.utils.errors import UserError

_EXAMPLE = """examples:
  %(prog)s beauty                                      a recipe: downloads what is missing
  %(prog)s mine --source amazon-2023 --reviews Toys_and_Games.jsonl.gz --metadata meta_Toys_and_Games.jsonl.gz
  %(prog)s ml-1m --source movielens --url https://files.grouplens.org/datasets/movielens/ml-1m.zip
  %(prog)s shop --source table --reviews orders.csv --columns user=uid,item=sku,timestamp=at --time-unit iso
                --metadata products.parquet --item-columns item=sku,title=name,description=text --kcore 2"""


@guarded
def prepare(argv: list[str]) -> None:
    """Make RecBole atomic files with item texts and a data card from raw data."""
    args = _parser().parse_args(argv)
    from recbole_llminit.prepare.pipeline import prepare as run
    from recbole_llminit.prepare.recipe import Recipe, find_recipe, recipes

    recipe = find_recipe(args.name)
    source = getattr(args, "source", None)
    if source and (recipe is None or recipe.source != source):
        recipe = Recipe(source)
    if recipe is None:
        raise UserError(
            f"'{args.name}' is no recipe (there are {', '.join(recipes())}); say what the raw data are with "
            "--source, see --help"
        )
    if hasattr(args, "generate") and recipe.source != "synthetic":
        raise UserError(f"--generate is of --source synthetic; '{args.name}' has source {recipe.source}")
    given = {key: value for key, value in vars(args).items() if hasattr(recipe, key)}
    run(
        args.name,
        recipe.changed({**given, **_roles(args.url)}),
        args.data_path,
        engine=args.engine,
        memory=args.memory,
        skip_bad_lines=args.skip_bad_lines,
        quiet=args.quiet,
        command="recbole-llminit prepare " + shlex.join(argv),
    )


def _parser() -> argparse.ArgumentParser:
    what = "Make NAME.inter, NAME.item and card.json from raw data, in RecBole's atomic format."
    parser = verb_parser("recbole-llminit prepare", what, _EXAMPLE)
    parser.add_argument("name", help="name of the dataset; without --source, of a recipe in props/dataset/")
    raw = parser.add_argument_group("raw data", argument_default=argparse.SUPPRESS)
    raw.add_argument(
        "--source", help="amazon-2014, amazon-2018, amazon-2023, movielens, table, atomic or synthetic"
    )
    raw.add_argument("--reviews", help="file or URL of interactions; plain or .gz")
    raw.add_argument("--metadata", help="file or URL of items; plain or .gz")
    raw.add_argument("--path", help="folder or archive of the raw files (movielens, atomic; recipes too)")
    raw.add_argument("--url", nargs="+", default=[], help="URLs of raw files; #sha256=... has one checked")
    raw.add_argument("--columns", type=_mapping, help="of a table: user=,item=,rating=,timestamp=")
    raw.add_argument("--item-columns", type=_mapping, help="of a table of items: item=,title=,...")
    raw.add_argument("--time-unit", help="of a table: seconds (default), milliseconds or iso")
    raw.add_argument("--generate", type=_sizes, help="of synthetic: users=300,items=250,interactions=5000")
    raw.add_argument(
        "--skip-bad-lines",
        type=whole(0),
        default=0,
        metavar="N",
        help="leave out up to N unreadable lines of each file of JSON lines or films",
    )
    keep = parser.add_argument_group("filters, in this order", argument_default=argparse.SUPPRESS)
    keep.add_argument("--sample", type=float, help="share of the users, for a quick look (1)")
    keep.add_argument("--min-rating", type=_number_or_none, help="least rating, or none (4)")
    keep.add_argument("--duplicates", help="of a user and an item keep the first, last or all (first)")
    keep.add_argument("--since", help="first day, YYYY-MM-DD (UTC)")
    keep.add_argument("--until", help="day after the last, YYYY-MM-DD (UTC)")
    keep.add_argument("--min-text", type=int, help="least characters of text an item has (0)")
    keep.add_argument("--kcore", type=int, help="least interactions of a user and of an item (5)")
    text = parser.add_argument_group("item texts", argument_default=argparse.SUPPRESS)
    text.add_argument("--template", help="text of an item for encode, over the item's columns")
    text.add_argument(
        "--review-text",
        action="store_true",
        help="add a column of reviews, of the training part of the sequential protocol alone",
    )
    run = parser.add_argument_group("how")
    run.add_argument("--engine", default="duckdb", help="duckdb (default) or spark, extra [spark]")
    run.add_argument("--memory", default="2GB", help="of the engine before it spills to disk (%(default)s)")
    run.add_argument("--seed", type=int, default=argparse.SUPPRESS, help="of --sample and --generate (2020)")
    add_data_path(run)
    add_quiet(run)
    return parser


def _mapping(text: str, example: str = "user=uid,item=sku") -> dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split(",")]
    if not all(key and equals and value for key, equals, value in pairs):
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form {example}")
    return {key.strip(): value.strip() for key, _, value in pairs}


def _sizes(text: str) -> dict[str, int]:
    sizes = _mapping(text, "users=300,items=250,interactions=5000")
    return {what: whole(0)(size) for what, size in sizes.items()}


def _number_or_none(text: str) -> float | None:
    return None if text == "none" else float(text)


def _roles(urls: list[str]) -> dict[str, str]:
    """Return the URLs by role (``metadata``, ``path`` or ``reviews``), which their file names tell.

    Raises:
        UserError: If a name is not a URL, or if two URLs have the same role.
    """
    from recbole_llminit.prepare.download import file_name, is_url

    roles: dict[str, str] = {}
    for url in urls:
        if not is_url(url):
            raise UserError(f"--url '{url}' does not start with http:// or https://")
        name = file_name(url)
        archive = name.endswith((".zip", ".tar", ".tar.gz", ".tgz"))
        role = "metadata" if name.startswith("meta") else "path" if archive else "reviews"
        if role in roles:
            raise UserError(f"--url: {roles[role]} and {url} are both --{role}; give one with its own flag")
        roles[role] = url
    return roles
