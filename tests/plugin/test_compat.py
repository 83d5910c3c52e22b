"""Each repair of RecBole removes its break."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from tests.conftest import World, config_of, parts


def test_numpy_names() -> None:
    assert np.bool8 is np.bool_
    assert np.float_ is np.float64


def test_dok_update() -> None:
    matrix = sp.dok_matrix((2, 2), dtype=np.float32)
    matrix._update({(0, 1): 1.0})
    np.testing.assert_array_equal(matrix.toarray(), [[0, 1], [0, 0]])


def test_only_recbole_unpickles(tmp_path: Path) -> None:
    """RecBole's modules load pickled objects; every other caller keeps torch's default."""
    torch.save({"path": tmp_path}, tmp_path / "x.pth")
    recbole_like = types.ModuleType("recbole.somewhere")
    exec("import torch\ndef load(f): return torch.load(f)", recbole_like.__dict__)
    assert recbole_like.load(tmp_path / "x.pth") == {"path": tmp_path}
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 6):
        with pytest.raises(Exception, match="[Ww]eights"):
            torch.load(tmp_path / "x.pth")


@pytest.mark.slow
def test_pandas_3_is_refused_every_time() -> None:
    code = """
import importlib.metadata
version = importlib.metadata.version
importlib.metadata.version = lambda name: "3.0.1" if name == "pandas" else version(name)
import recbole_llminit
for attempt in range(2):
    try:
        import recbole
    except ImportError as error:
        print(error)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.count("pandas 3.0.1 silently corrupts") == 2
    assert "pip install 'pandas" in out.stdout


def test_no_gpu_means_cpu(world: World) -> None:
    config = config_of("BPR", world, use_gpu=False, gpu_id="0")
    assert config["device"].type == "cpu"


def test_a_gpu_is_used_where_there_is_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert config_of("BPR", world, use_gpu=True)["device"].type == "cuda"
    assert config_of("BPR", world, use_gpu=False)["device"].type == "cpu"


@pytest.mark.parametrize("model", ["LightGCN", "NGCF", "SpectralCF", "GCMC"])
def test_plain_graph_models_build(model: str, world: World) -> None:
    made = parts(model, world, gcn_output_dim=8, hidden_size_list=[8])
    assert np.isfinite(made.trainer._train_epoch(made.train, 0))


@pytest.mark.slow
def test_quick_start_imports_where_no_ray_is_installed() -> None:
    """The stand-in for ray is there during RecBole's import and removed afterwards."""
    code = """
import importlib.util, sys
class NoRay:
    def find_spec(self, name, path=None, target=None):
        if name == "ray" or name.startswith("ray."):
            raise ModuleNotFoundError(name, name="ray")
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "ray" else find(name, package)
sys.meta_path.insert(0, NoRay())
import recbole_llminit
from recbole.quick_start import objective_function, run_recbole
print("ray" in sys.modules)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert out.stdout.strip() == "False", out.stderr


def test_sine_leaves_anomaly_detection_off() -> None:
    """Listing the sequential models imports SINE, which switches it on for the whole process."""
    code = (
        "import recbole_llminit, torch; import recbole.model.sequential_recommender.sine; "
        "print(torch.is_anomaly_enabled())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "False"
