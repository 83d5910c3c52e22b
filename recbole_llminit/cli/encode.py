"""The verb ``encode``, which makes tables of item vectors."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recbole_llminit.cli.arguments import add_data_path, add_quiet, verb_parser, whole
from recbole_llminit.cli.guard import guarded
from recbole_llminit.utils.errors import UserError

if TYPE_CHECKING:
    from recbole_llminit.embedding.table import VectorTable

_EXAMPLE = """examples:
  %(prog)s beauty                                      sentence-transformers, the dataset's template
  %(prog)s beauty --encoder BAAI/bge-small-en-v1.5 --precision bf16 --device cuda:0,cuda:1
  %(prog)s beauty --shard 1/4                          a quarter of the work; when all are done: --merge
  %(prog)s beauty --atomic --select var --dim 128      RecBole's text form of 128 selected dimensions
  %(prog)s beauty --base-url https://api.openai.com/v1 --encoder text-embedding-3-small --price 0.02
  %(prog)s beauty --from vectors.npy --ids ids.txt --name mine --encoder "what made them"
a run reads the table that its key names: --llm_embedding=mine"""

_ENCODER = "all-mpnet-base-v2"
_OF_TEXTS = (  # flags that apply only to the encoding of texts
    *("prompt", "dtype", "revision", "max_length", "precision", "device", "batch_size", "base_url"),
    *("shard", "merge"),
)


@guarded
def encode(argv: list[str]) -> None:
    """Make item vectors from text, or bring in a matrix."""
    args = _parser().parse_args(argv)
    from recbole_llminit.dataset.places import checked_name, item_file
    from recbole_llminit.embedding.encoder import EncoderSettings
    from recbole_llminit.embedding.matrix import from_matrix
    from recbole_llminit.embedding.table import ITEMEMB, save

    _check(args)
    items = item_file(checked_name(args.dataset, "dataset"), args.data_path)
    encoder = args.encoder or (_ENCODER if args.matrix is None else args.matrix.stem)
    name = checked_name(args.name or Path(EncoderSettings(encoder).name).name, "--name")
    file = args.data_path / args.dataset / f"{name}.safetensors"
    command = "recbole-llminit encode " + shlex.join(argv)
    table: VectorTable | None
    if args.matrix is None:
        table = _from_texts(args, encoder, items, file, command)
    else:
        table = from_matrix(
            args.matrix,
            args.ids,
            encoder=args.encoder or "not told",
            template=args.template,
            item_file=items,
            command=command,
        )
        save(table, file)
    if table is None:
        return
    _tell(args, file, table)
    if args.atomic:
        text = file.with_name(f"{args.dataset}.{ITEMEMB}")
        chosen = _selected(table, args.select, args.dim, command) if args.select else table
        save(chosen, text)
        _tell(args, text, chosen)


def _parser() -> argparse.ArgumentParser:
    what = "Make a table of item vectors for a dataset, with its card."
    parser = verb_parser("recbole-llminit encode", what, _EXAMPLE)
    parser.add_argument("dataset", help="name of a dataset")
    parser.add_argument("--encoder", help=f"model name or folder ({_ENCODER})")
    parser.add_argument("--template", help='text of an item: "{title}. {brand}" (the data card\'s)')
    parser.add_argument("--prompt", help="text put before every item's, if the encoder wants one")
    parser.add_argument("--name", help="name of the table, for llm_embedding (the encoder's last part)")
    parser.add_argument(
        "--dtype", choices=("float32", "float16"), default="float32", help="of the table (%(default)s)"
    )
    add_data_path(parser)
    add_quiet(parser, "no progress bar and no summary")
    local = parser.add_argument_group("sentence-transformers, extra [encode]")
    local.add_argument("--revision", help="of a model on the hub")
    local.add_argument("--max-length", type=whole(1), help="tokens after which a text is cut")
    local.add_argument("--precision", default="fp32", help="fp32 (default), fp16 or bf16")
    local.add_argument("--device", default="", help="one or several: cuda:0,cuda:1 (the best there is)")
    local.add_argument("--batch-size", type=whole(1), help="texts per step or request (32; endpoint: 128)")
    remote = parser.add_argument_group("endpoint of OpenAI's protocol, extra [api]; key: OPENAI_API_KEY")
    remote.add_argument("--base-url", help="such as https://api.openai.com/v1")
    remote.add_argument("--requests-per-minute", type=_rate, help="send no more than that")
    remote.add_argument("--price", type=float, help="US dollars per million tokens, for the estimate")
    remote.add_argument("--dry-run", action="store_true", help="print the estimate and stop")
    parts = parser.add_argument_group("work in parts")
    parts.add_argument("--shard", type=_part, metavar="I/N", help="encode part I of N, from 1, and stop")
    parts.add_argument("--merge", action="store_true", help="put the parts together, encode nothing")
    own = parser.add_argument_group("bring your own matrix")
    own.add_argument("--from", dest="matrix", type=Path, help="vectors: .npy, .parquet or .safetensors")
    own.add_argument("--ids", type=Path, help="item token of each row, one a line")
    text = parser.add_argument_group("RecBole's text form")
    text.add_argument("--atomic", action="store_true", help="write DATASET.itememb too")
    text.add_argument("--select", help="selection for it: var, rand, uni, svd, pca, ... (see llm_selection)")
    text.add_argument("--dim", type=whole(1), help="dimensions that it keeps")
    return parser


def _check_selection(how: str | None) -> None:
    from recbole_llminit.initialize.settings import Selection

    names = [selection.value for selection in Selection if selection is not Selection.FULL]
    if how and how not in names:
        raise UserError(
            f"--select '{how}' must be one of {', '.join(names)}; --atomic alone writes all dimensions"
        )


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not rate > 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")
    return rate


def _part(text: str) -> tuple[int, int]:
    i, _, n = text.partition("/")
    if not (i.isdecimal() and n.isdecimal() and 1 <= int(i) <= int(n)):
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form I/N with I from 1 to N, such as 1/4")
    return int(i), int(n)


def _check(args: argparse.Namespace) -> None:
    """Refuse flags that can't be combined, or that would have no effect."""
    _check_selection(args.select)
    if bool(args.select) != bool(args.dim) or (args.select and not args.atomic):
        raise UserError("--select and --dim go together, and with --atomic; a run selects by llm_selection")
    if args.ids and not args.matrix:
        raise UserError("--from and --ids go together: a matrix and the item token of each row")
    for flag in ("price", "requests_per_minute", "dry_run"):
        if getattr(args, flag) and not args.base_url:
            raise UserError(f"--{flag.replace('_', '-')} goes with --base-url")
    for flag in _OF_TEXTS if args.matrix else ("device",) if args.base_url else ():
        if getattr(args, flag) not in (None, "", False, "fp32", "float32"):
            where = "--from" if args.matrix else "--base-url"
            raise UserError(f"--{flag.replace('_', '-')} is of no use with {where}")
    if args.shard and args.merge:
        raise UserError("--shard and --merge: encode the parts first, then merge them in another command")


def _from_texts(
    args: argparse.Namespace, encoder: str, items: Path, file: Path, command: str
) -> VectorTable | None:
    from recbole_llminit.dataset.items import template_of
    from recbole_llminit.embedding.encode import Job, encode
    from recbole_llminit.embedding.encoder import Encoder, EncoderSettings, SentenceEncoder
    from recbole_llminit.embedding.endpoint import EndpointEncoder, estimate

    settings = EncoderSettings(
        encoder, args.revision, args.prompt, args.max_length, args.precision, args.base_url
    )
    template = args.template or template_of(items)
    job = Job(items, file, template, settings, args.dtype, command)
    requested = args.batch_size or 128

    def make_encoder() -> Encoder:
        if args.base_url:
            return EndpointEncoder(settings, requested, args.requests_per_minute)
        devices = [device for device in args.device.split(",") if device]
        return SentenceEncoder(settings, devices, args.batch_size or 32, args.quiet)

    def announce(shards: Sequence[Sequence[str]]) -> None:
        if args.base_url and not args.quiet:
            print(estimate(shards, requested, args.price, args.prompt), flush=True)

    if args.dry_run:
        shards = job.shards(job.texts(), {})
        announce([shards.shard(number) for number in range(len(shards))])
        return None
    return encode(
        job, make_encoder, part=args.shard, merge_only=args.merge, announce=announce, quiet=args.quiet
    )


def _selected(table: VectorTable, how: str, k: int, command: str) -> VectorTable:
    """Return the table with `k` of its dimensions, selected as a run does by ``llm_selection: how``."""
    from recbole_llminit.embedding.table import VectorTable
    from recbole_llminit.initialize import fit

    if k > table.vectors.shape[1]:
        raise UserError(f"--dim {k} must not exceed the vectors' {table.vectors.shape[1]}")
    assert table.card is not None
    card = replace(
        table.card, selection=f"{how} {k}", selected_from=table.card.vectors_sha256, command=command
    )
    vectors = np.asarray(table.vectors, dtype=np.float32)
    return VectorTable.build(table.ids, fit(vectors, k, how)(vectors), card)


def _tell(args: argparse.Namespace, file: Path, table: VectorTable) -> None:
    if not args.quiet:
        print(f"{file}: {len(table.ids)} items, {table.vectors.shape[1]} dimensions, {table.vectors.dtype}")
