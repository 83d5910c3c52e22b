"""Repair what today's libraries break in RecBole 1.2.1: one function per break.

Each function does nothing where its break is absent. Its docstring names the report and the change in
RecBole that would make it superfluous. Repairs of a module are applied right after that module is
imported, so importing this package stays cheap and the order of imports does not matter.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import logging
import sys
import types
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import wrapt

from recbole_llminit.plugin.wrapping import wrap

_ISSUES = "https://github.com/RUCAIBox/RecBole/issues"


def numpy_aliases() -> None:
    """Give NumPy 2 the four names that ray 2.6 and RecBole still read.

    ``np.bool8``, ``np.float_``, ``np.complex_`` and ``np.unicode_`` left NumPy in 2.0.
    Reported in RecBole #2215; retired by a RecBole that no longer reads them.
    """
    import numpy as np

    aliases = {
        "bool8": np.bool_,
        "float_": np.float64,
        "complex_": np.complex128,
        "unicode_": np.str_,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # NumPy 1.26 warns about bool8
        for name, value in aliases.items():
            if not hasattr(np, name):
                setattr(np, name, value)


def supported_pandas(_: types.ModuleType) -> None:
    """Refuse pandas 3, under which RecBole corrupts item features without any warning.

    RecBole fills gaps with ``feat[field].fillna(..., inplace=True)``, which changes nothing under
    copy-on-write: NaN stays, and token ids turn into -9223372036854775808.
    Not yet reported; retired by a RecBole that assigns the result.

    Raises:
        ImportError: If the installed pandas is 3 or newer.
    """
    version = importlib.metadata.version("pandas")
    if int(version.split(".")[0]) >= 3:
        sys.modules.pop("recbole", None)  # a hook runs once, but a second import must be refused too
        wrapt.register_post_import_hook(supported_pandas, "recbole")
        raise ImportError(
            f"pandas {version} silently corrupts RecBole's features; install a supported one: "
            "pip install 'pandas>=2.0,<3'"
        )


def dok_matrix_update(sparse: types.ModuleType) -> None:
    """Give SciPy's ``dok_matrix`` back the ``_update`` that RecBole's graph models call.

    Removed in SciPy 1.13; LightGCN, NGCF, NCL, GCMC, SpectralCF, KGIN and MCCLK need it.
    Reported in RecBole #2034, #2090, #2185; retired by a RecBole that builds from COO.
    """
    if not hasattr(sparse.dok_matrix, "_update"):
        sparse.dok_matrix._update = lambda self, entries: self._dict.update(entries)


def torch_load(torch: types.ModuleType) -> None:
    """Let RecBole's modules, and no other caller, unpickle RecBole's checkpoints.

    Since torch 2.6 ``torch.load`` refuses pickled objects by default, but a RecBole checkpoint
    holds a ``Config``. Every other caller keeps torch's safe default.
    Reported in RecBole #2212, #2215; retired by a RecBole that passes ``weights_only=False``.
    """
    load: Callable[..., Any] = torch.load

    @functools.wraps(load)
    def load_for_recbole(*args: Any, **kwargs: Any) -> Any:
        caller = str(sys._getframe(1).f_globals.get("__name__", ""))
        if caller.startswith("recbole."):
            kwargs.setdefault("weights_only", False)
        return load(*args, **kwargs)

    torch.load = load_for_recbole  # type: ignore[attr-defined]


def numpy_aliases_of_a_loaded_config(configurator: types.ModuleType) -> None:
    """Set the aliases (``np.float`` and others) that RecBole sets when a ``Config`` is constructed.

    A ``Config`` that is unpickled from a checkpoint is not constructed, and NDCG fails without the aliases.
    Reported in RecBole #1604; retired by a RecBole that reads NumPy's own names.
    """
    configurator.Config.compatibility_settings(None)


def no_gpu_means_cpu(_: types.ModuleType) -> None:
    """Make ``use_gpu: False`` select the CPU; RecBole decides by ``gpu_id`` alone.

    Reads ``use_gpu``, ``single_spec``.
    Reported in RUCAIBox/UniSRec #23; retired by a RecBole that reads ``use_gpu`` there.
    """

    def init_device(original: Callable[..., None], config: Any) -> None:
        original(config)
        if config.final_config_dict.get("use_gpu") is False and config["single_spec"]:
            import torch

            config["device"] = torch.device("cpu")

    wrap("recbole.config.configurator", "Config._init_device", init_device)


def report_outside_ray(quick_start: Any) -> None:
    """Keep ``objective_function`` from reporting to ray when no ray session runs.

    Under hyperopt, every trial otherwise prints a warning with a stack trace.
    Reported in RecBole #1741; retired by a RecBole that tests for a session first.
    """
    tune = quick_start.tune

    def report(**metrics: Any) -> None:
        if getattr(tune, "is_session_enabled", lambda: False)():
            tune.report(**metrics)

    quick_start.tune = types.SimpleNamespace(report=report)


def exhaustive_search(hyper_tuning: Any) -> None:
    """Let RecBole's exhaustive search draw from hyperopt 0.2.6 and newer.

    RecBole seeds a ``RandomState``, on which hyperopt now calls ``Generator.integers``.
    Reported in RecBole #1354; retired by a RecBole that seeds a ``Generator``.
    """
    import numpy as np

    class Draws(np.random.RandomState):
        integers = np.random.RandomState.randint

    names = {**vars(np), "random": types.SimpleNamespace(**{**vars(np.random), "RandomState": Draws})}
    hyper_tuning.np = types.SimpleNamespace(**names)


def deprecation_noise(_: types.ModuleType) -> None:
    """Silence the deprecation warnings that RecBole and ray trigger on every run.

    They concern code that the user cannot change; retired by a RecBole without these calls.
    """
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    warnings.filterwarnings("ignore", message=r".*torch\.cuda\.amp\.GradScaler", category=FutureWarning)
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"recbole\.")
    warnings.filterwarnings("ignore", message=r"torch\.sparse\.SparseTensor")
    logging.getLogger("hyperopt").setLevel(logging.WARNING)


class _RayTuneStandIn(importlib.abc.MetaPathFinder):
    """Provide an empty ``ray.tune`` while RecBole's quick start imports it, where ray is not installed.

    RecBole pins ``ray<=2.6.3``, which has no wheel for Python 3.12 and newer, and uses one name of it,
    which does nothing outside a ray session. The stand-in is removed after the import, so that no other
    library takes it for the real package.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> None:
        """Put the stand-in into ``sys.modules`` if the quick start is being imported; return no spec."""
        if name == "recbole.quick_start" and importlib.util.find_spec("ray") is None:
            ray = types.ModuleType("ray")
            ray.__spec__ = importlib.machinery.ModuleSpec("ray", None)
            ray.tune = types.ModuleType("ray.tune")  # type: ignore[attr-defined]
            sys.modules.update({"ray": ray, "ray.tune": ray.tune})

    @staticmethod
    def remove(_: types.ModuleType) -> None:
        """Remove the stand-in from ``sys.modules``."""
        if getattr(sys.modules.get("ray"), "__file__", None) is None:
            sys.modules.pop("ray", None)
            sys.modules.pop("ray.tune", None)


def anomaly_detection(_: types.ModuleType) -> None:
    """Switch off the debugging aid that RecBole's SINE switches on for every model of the process.

    Importing its module, as listing the sequential models does, calls
    ``torch.autograd.set_detect_anomaly(True)``: every gradient is then searched for NaN, and a stack
    trace is recorded for every operation. Not yet reported; retired by a RecBole whose SINE does not.
    """
    import torch

    torch.autograd.set_detect_anomaly(False)


_REPAIRS: dict[str, tuple[Callable[[Any], None], ...]] = {
    "scipy.sparse": (dok_matrix_update,),
    "torch": (torch_load,),
    "recbole": (supported_pandas, deprecation_noise),
    "recbole.config.configurator": (numpy_aliases_of_a_loaded_config, no_gpu_means_cpu),
    "recbole.quick_start": (_RayTuneStandIn.remove,),
    "recbole.quick_start.quick_start": (report_outside_ray,),
    "recbole.trainer.hyper_tuning": (exhaustive_search,),
    "recbole.model.sequential_recommender.sine": (anomaly_detection,),
}


def install() -> None:
    """Apply every repair, now or as soon as the module that it repairs is imported."""
    numpy_aliases()
    sys.meta_path.insert(0, _RayTuneStandIn())
    for module, repairs in _REPAIRS.items():
        for repair in repairs:
            wrapt.register_post_import_hook(repair, module)
