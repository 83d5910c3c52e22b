"""No config value or key is evaluated: whatever RecBole evaluates is read as a literal, or stays text."""

from __future__ import annotations

import ast
import builtins
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import recbole
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from recbole.config import Config, configurator
from recbole.trainer import hyper_tuning

from recbole_llminit import cli
from recbole_llminit.experiment.grid import Run
from recbole_llminit.experiment.orchestrate import _search_job
from recbole_llminit.experiment.study import Study
from recbole_llminit.plugin.literals import literal
from recbole_llminit.utils.errors import UserError
from tests.conftest import World, config_of, parts, settings

# Each one creates the file MARK if it is evaluated where RecBole evaluates values. None holds a space that
# matters, as params files lose their spaces.
CALL = "open('MARK','w')"
PAYLOADS = [
    CALL,
    "__import__('os').mknod('MARK')",
    "__import__('pathlib').Path('MARK').touch()",
    "os.mknod('MARK')",
    "getattr(os,'mknod')('MARK')",
    "globals()['os'].mknod('MARK')",
    "sys.modules['os'].mknod('MARK')",
    "__builtins__['open']('MARK','w')",
    "max.__self__.open('MARK','w')",
    "().__class__.__base__.__subclasses__()and(open('MARK','w'))",
    "Config.__init__.__globals__['os'].mknod('MARK')",
    f'eval("{CALL}")',
    f'exec("{CALL}")',
    f"[{CALL}for(_)in(1,)]",
    f"{{{CALL}for(_)in(1,)}}",
    f"{{1:{CALL}for(_)in(1,)}}",
    f"list({CALL}for(_)in(1,))",
    f"(lambda:{CALL})()",
    f"(x:={CALL})",
    f'f"{{{CALL}}}"',
    f"'%s'%{CALL}",
    f"'a'.join([{CALL}.name])",
    f"[1,[2,{CALL}]]",
    f"({CALL},)",
    f"{{'mode':{CALL}}}",
    f"{{'mode':{{'valid':[{CALL}]}}}}",
    f"{{{CALL}:1}}",
    f"{{{CALL}}}",
    f"{{**{{1:{CALL}}}}}",
    f"[*[{CALL}]]",
    f"[0][{CALL}and(0)]",
    f"(1)if({CALL})else(2)",
    f"(not({CALL}))",
    f"({CALL})or(1)",
    f"1<len({CALL}.name)",
    f"'a'+{CALL}.name",
    f"  {CALL}",
    f"({CALL}\n)",
]


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "mark"


@pytest.fixture(params=PAYLOADS)
def payload(request: pytest.FixtureRequest, mark: Path) -> str:
    return request.param.replace("MARK", str(mark))


@pytest.fixture
def payloads(mark: Path) -> list[str]:
    return [text.replace("MARK", str(mark)) for text in PAYLOADS]


def convert(text: Any) -> Any:
    """Return what RecBole makes of the value of a key."""
    return Config._convert_config_dict(None, {"key_of_test": text})["key_of_test"]


def test_every_payload_is_live(payload: str, mark: Path) -> None:
    """Evaluated as RecBole would, it creates the file; otherwise the tests below would show nothing."""
    eval(payload, dict(vars(configurator), eval=builtins.eval))
    assert mark.exists()


def test_these_modules_of_recbole_evaluate() -> None:
    """A module that a newer RecBole adds needs a repair of its own."""
    root = Path(recbole.__file__).parent
    found = {
        str(file.relative_to(root))
        for file in root.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("eval", "exec", "compile")
    }
    assert found == {
        "config/configurator.py",
        "trainer/hyper_tuning.py",
        "model/context_aware_recommender/kd_dagfm.py",
    }


# Values


def test_a_payload_stays_text(payload: str, mark: Path) -> None:
    assert convert(payload) == payload
    assert not mark.exists()


def test_a_config_runs_no_value_and_no_key(
    payloads: list[str], mark: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a dictionary, of the command line and of a file, alone and nested."""
    in_dict = {f"d{at}": text for at, text in enumerate(payloads)} | dict.fromkeys(payloads, "1")
    short = [text for text in payloads if "=" not in text]  # RecBole refuses a second `=`
    argv = [f"--c{at}={text}" for at, text in enumerate(short)] + [f"--{text}=1" for text in short]
    monkeypatch.setattr(sys, "argv", ["test", *argv])
    in_file = {f"f{at}": text for at, text in enumerate(payloads)}
    nested = {"list": [payloads], "mapping": {"mode": payloads}, **{text + " ": 1 for text in payloads}}
    Path("mine.yaml").write_text(yaml.safe_dump({**in_file, **nested}))
    config = Config("BPR", world.name, ["mine.yaml"], {**settings(world), **in_dict})
    assert not mark.exists()
    assert [config[f"d{at}"] for at in range(len(payloads))] == payloads
    assert [config[f"f{at}"] for at in range(len(payloads))] == payloads
    assert [config[f"c{at}"] for at in range(len(short))] == short
    assert (config["list"], config["mapping"]) == ([payloads], {"mode": payloads})
    assert all(config[text] == 1 for text in payloads)


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.mknod ['{}']",
        "!!python/object/new:os.mknod ['{}']",
        "!!python/object/apply:builtins.eval [\"open('{}','w')\"]",
        "!!python/module:antigravity",
    ],
)
def test_yaml_runs_no_code(tag: str, mark: Path, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.yaml").write_text("foo: " + tag.format(mark) + "\n")
    with pytest.raises(yaml.YAMLError):
        Config("BPR", world.name, ["mine.yaml"], settings(world))
    argv = ["run", "--model=BPR", f"--dataset={world.name}", "--config_files=mine.yaml"]
    assert cli.main([*argv, f"--data_path={world.root}"]) == 2
    assert "mine.yaml is not YAML" in capsys.readouterr().err
    assert not mark.exists()
    assert "antigravity" not in sys.modules


def test_a_run_carries_the_text(mark: Path, world: World) -> None:
    text = f"__import__('os').mknod('{mark}')"
    flags = [f"--{key}={value}" for key, value in settings(world, topk="[1,5]", result_file="r.json").items()]
    assert cli.main(["run", "--model=BPR", f"--dataset={world.name}", *flags, f"--foo={text}"]) == 0
    assert json.loads(Path("r.json").read_text())["config"]["foo"] == text
    assert not mark.exists()


# RecBole's local and global variables, Python's builtins, and names with attributes and items
NAMES = """
key param self value config_dict re os sys yaml Config ModelType ModelType.GENERAL metric_types max int print
__name__ __file__ __builtins__ sys.argv sys.path[0] os.sep os.environ NaN Infinity inf nan Ellipsis NotImplemented
"""


@pytest.mark.parametrize("name", NAMES.split())
def test_a_name_stays_text(name: str) -> None:
    assert convert(name) == name


def test_a_table_may_be_called_key(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--llm_embedding=key"]
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", ["test", *argv])
        assert config_of("LLMInitBPR", world)["llm_embedding"] == "key"
    world.table("key")
    keys = [f"--{key}={value}" for key, value in settings(world, topk="[1,5]", result_file="r.json").items()]
    assert cli.main(["run", "--model=LLMInitBPR", f"--dataset={world.name}", *keys, *argv]) == 0
    assert json.loads(Path("r.json").read_text())["config"]["llm_embedding"] == "key"


NUMBERS = "0 7 -7 +7 1_000 007 0x10 0b11 10e3 1e-3 1E-3 -1e-3 1. .5 -0.0 3j 1.2.3 1:2 12:30 2020-01-31"
WORDS = """
True False None true false TRUE tRuE none null yes ~ BPR ml-100k NDCG@10 uni100 full user_id cuda:0 ü 日本 :: , ' " [ #
./data/set /abs/path.yaml C:\\data https://x.org/a.zip saved/x.pth a/b RO ...
"""
LISTS = """[1,2]
[1, 2]
[]
[[1],[2,[3]]]
(1,2)
1,2
()
0,1
[1e-7, 1e-7]
[-1]
['Recall','NDCG']
["Recall"]
[Recall,NDCG]
['a', 1, None, True]
[1,2
{}
{1,2}
{'mode': 'uni5'}
{mode: uni5}
{'LS': 'valid_and_test'}
{'rating': '[3,inf)'}
{1: 2}
{'a': {1, 2}}
{'split': {'RS': [0.8,0.1,0.1]}, 'order': 'RO', 'group_by': 'user', 'mode': {'valid': 'full'}}
[5,inf)
(0,5]
[0,inf)
[3,5]
(-inf,3)
[1,3];[5,7]
'[3,5]'
'5'
"5"
'a' 'b'
'\\t'
b'x'""".splitlines()
ODD = [
    "",
    " ",
    " 5",
    "5 ",
    "False ",
    "a b",
    "./data/my set",
    "\t",
    "---1 a",
    "a\0b",
    "x" * 10_000,
    "(" * 300,
    "9" * 5_000,
]


@pytest.mark.parametrize("text", [*NUMBERS.split(), *WORDS.split(), *LISTS, *ODD])
def test_a_documented_form_has_the_value_that_it_had(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value = convert(text)
    monkeypatch.delattr(configurator, "eval")
    try:
        before = convert(text)
    except ValueError:  # of NUL, by Python 3.11
        before = text
    assert (value, type(value)) == (before, type(before))


@pytest.mark.parametrize("value", [5, 0.1, None, True, ["[1]"], {"a": "1"}])
def test_values_that_are_no_text_stay_as_they_are(value: Any) -> None:
    assert convert(value) is value


@pytest.mark.parametrize(
    "text", ["-" * 100_000 + "1", "(" * 100_000, "[" * 100 + "]" * 100 + "x", "1+" * 9_999]
)
def test_text_that_python_cannot_parse_stays_text(text: str) -> None:
    assert convert(text) == text


_scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
_literals = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4),
)


@given(_literals)
def test_the_text_of_a_literal_gives_the_literal(value: Any) -> None:
    assert literal(repr(value)) == value
    assert convert(repr(value)) == value


@given(st.text(st.characters(exclude_characters="'\"[](){}")))
def test_other_text_stays_text(text: str) -> None:
    assume(text.lower() not in ("true", "false"))
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError):
        assert convert(text) == text
        with pytest.raises(SyntaxError):
            literal(text)


# Params files

RANGES = """learning_rate choice [0.01, 0.001]
embedding_size choice [64, 96 , 128]

mlp_hidden_size choice ['[64, 64, 64]','[128, 128]']
reg choice (1e-3,1e-4)
both choice 1,2
mixed choice [None,True,'a b',[1,2]]
weight loguniform -8, 0
drop uniform 0,1
layers quniform 1,3,1
embedding_size choice [32]
"""


def space_of(text: str) -> dict[str, Any]:
    Path("space.test").write_text(text)
    return hyper_tuning.HyperTuning._build_space_from_file("space.test")


def test_a_params_file_gives_the_ranges_that_it_gave() -> None:
    from hyperopt import hp

    found = space_of(RANGES)
    expected = {
        "learning_rate": hp.choice("learning_rate", [0.01, 0.001]),
        "embedding_size": hp.choice("embedding_size", [32]),
        "mlp_hidden_size": hp.choice("mlp_hidden_size", ["[64,64,64]", "[128,128]"]),
        "reg": hp.choice("reg", (1e-3, 1e-4)),
        "both": hp.choice("both", (1, 2)),
        "mixed": hp.choice("mixed", [None, True, "ab", [1, 2]]),
        "weight": hp.loguniform("weight", -8.0, 0.0),
        "drop": hp.uniform("drop", 0.0, 1.0),
        "layers": hp.quniform("layers", 1.0, 3.0, 1.0),
    }
    assert list(found) == [
        "learning_rate", "embedding_size", "mlp_hidden_size", "reg", "both", "mixed", "weight", "drop", "layers",
    ]  # fmt: skip
    assert {name: str(found[name]) for name in found} == {name: str(expected[name]) for name in expected}
    search = hyper_tuning.HyperTuning(lambda *_: {}, params_file="space.test", algo="random")
    assert {name: str(node) for name, node in search.space.items()} == {
        k: str(v) for k, v in expected.items()
    }


def test_a_params_file_runs_no_payload(payload: str, mark: Path) -> None:
    payload = payload.replace("\n", "").strip()
    for line in (
        f"x choice {payload}",
        f"x choice [1,{payload}]",
        f"x uniform {payload},1",
        f"x {payload} 1,2",
    ):
        with pytest.raises(UserError, match="space.test, line 2: "):
            space_of(f"lr choice [1]\n{line}\n")
    space_of(f"{payload} choice [1]\n")  # a strange name, and no more
    text = space_of(f"x choice [{payload!r}]\n")["x"].pos_args[1].obj
    assert convert(text) == text
    assert not mark.exists()


WRONG = """x
x choice
x choice[1,2]
x choise [1]
x choice []
x choice 5
x choice 'abc'
x choice {1:2}
x choice [a,b]
x choice [1,2
x choice [2*3]
x choice range(3)
x choice [inf]
x choice lr
x uniform 0
x uniform 0,1,2
x uniform a,b
x uniform 0,inf
x uniform nan,1
x uniform 1,0
x quniform 0,1
x loguniform -8
x loguniform -8;0
x loguniform 1/10,1
x normal 0,1
x = 5""".splitlines()


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_line_is_one_error_with_its_place(line: str) -> None:
    with pytest.raises(UserError, match=r"space.test, line 3: .*x.* must be NAME choice \[VALUE") as raised:
        space_of(f"# learning rate\nlr choice [1]\n  {line}\n")
    assert "\n" not in str(raised.value)


def test_tune_refuses_a_wrong_line_in_one(
    world: World, mark: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["tune", "--model=BPR", f"--dataset={world.name}", "--params_file=space.test"]
    argv += [f"--{key}={value}" for key, value in settings(world, topk="[1,5]").items()]
    Path("space.test").write_text(f"lr choice [__import__('os').mknod('{mark}')]\n")
    assert cli.main(argv) == 2
    assert 'error: space.test, line 1: "lr choice [__import__' in capsys.readouterr().err
    Path("space.test").write_bytes("größe choice [1]".encode("latin-1"))
    assert cli.main(argv) == 2
    assert "error: space.test is not UTF-8" in capsys.readouterr().err
    assert not mark.exists()


# Studies

STUDY: dict[str, Any] = {
    "datasets": ["tastes"],
    "models": ["BPR"],
    "settings": {"host": {}},
    "protocols": ["masked"],
    "seeds": [1],
    "base": "host",
    "metrics": ["NDCG@5"],
}


def test_a_studys_search_carries_payloads_as_text(payloads: list[str], mark: Path) -> None:
    plain = [text.replace("\n", "").strip() for text in payloads]
    study = Study.of({**STUDY, "tune": {"BPR": {"foo": plain}}}, Path("mine.yaml"))
    job = _search_job(
        Run("BPR", "tastes", {"protocol": "masked", "seed": 1}), study.tune["BPR"], Path(), Path()
    )
    options = [node.obj for node in space_of(job.files["space.test"])["foo"].pos_args[1:]]
    assert options == [text.replace(" ", "") for text in plain]
    assert [convert(text) for text in options] == options
    assert not mark.exists()


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"x choice [1]\ny": [1]}, "must be a word"),
        ({"lr,": [1]}, "must be a word"),
        ({"": [1]}, "must be a word"),
        ({"lr": [float("inf")]}, "must hold finite numbers"),
        ({"lr": [yaml.safe_load("2014-01-31")]}, "must hold finite numbers"),
        ({"lr": [print]}, "must hold finite numbers"),
    ],
)
def test_a_search_that_no_params_file_can_hold_is_refused(space: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=f"tune: BPR's .* {message}"):
        Study.of({**STUDY, "tune": {"BPR": space}}, Path("mine.yaml"))


def test_a_key_of_a_search_is_no_payload(payload: str, mark: Path) -> None:
    with pytest.raises(UserError, match="must be a word"):
        Study.of({**STUDY, "tune": {"BPR": {payload: [1]}}}, Path("mine.yaml"))
    assert not mark.exists()


@pytest.mark.slow
def test_a_whole_study_runs_no_payload(mark: Path, world: World) -> None:
    text = f"__import__('os').mknod('{mark}')"
    keys = {**settings(world), "epochs": 1, "bar": text}
    del keys["data_path"]
    study = {**STUDY, "keys": keys, "tune": {"BPR": {"foo": [text, f"[{text}]"]}}}
    Path("mine.yaml").write_text(yaml.safe_dump(study))
    argv = ["experiment", "mine.yaml", f"--data-path={world.root}", "--jobs=1", "--out=out", "--quiet"]
    assert cli.main([*argv, f"--baz={text}"]) == 0
    (result,) = Path("out/runs").glob("*-*.json")
    config = json.loads(result.read_text())["config"]
    assert (config["bar"], config["baz"]) == (text, text)
    assert config["foo"] in (text, f"[{text}]")
    assert not mark.exists()


# KD_DAGFM's teacher


@pytest.mark.parametrize("teacher", ["CrossNet", "CIN", "DAGFM"])
def test_a_teacher_is_one_of_the_networks(teacher: str, world: World) -> None:
    made = parts("KD_DAGFM", world, teacher=teacher, t_type="inner", t_cin=[4, 4])
    assert type(made.model.teacher_network).__name__ == teacher


@pytest.mark.parametrize("teacher", ["crossnet", "KD_DAGFM", "torch", "nn.Linear", CALL])
def test_another_teacher_is_refused(teacher: str, mark: Path, world: World) -> None:
    with pytest.raises(UserError, match="must be one of CrossNet, CIN, DAGFM"):
        parts("KD_DAGFM", world, teacher=teacher.replace("MARK", str(mark)))
    assert not mark.exists()


def test_the_package_replaces_eval_in_recboles_modules_alone() -> None:
    assert builtins.eval("1+1") == 2
    assert configurator.eval is literal
