"""Fast training of dense feed-forward networks on CPUs.

The steps of backpropagation on plain arrays: `init_params`, `forward`, `cost`, `backward`, `update`, `check_gradients`.
A network as an object, trained in one native call: `Network`. Many networks at once: `fit_many`.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

from chainrule import _start as _start  # isort: split

from chainrule import _core, losses, optimizers, schedules
from chainrule._arguments import one_of, optional_integer
from chainrule._core import DivergenceError, __version__, available_isas, build_config, get_isa, get_num_threads
from chainrule._suggest import did_you_mean, explained
from chainrule.binned import BinnedRows
from chainrule.functional import Cache, backward, cost, forward, init_params, update
from chainrule.gradients import GradientReport, check_gradients
from chainrule.losses import *  # noqa: F403
from chainrule.many import fit_many
from chainrule.network import Gradients, Network, Trace
from chainrule.optimizers import *  # noqa: F403
from chainrule.rows import Rows
from chainrule.schedules import *  # noqa: F403
from chainrule.training import History, Stop, TrainingState, WithinParts

if TYPE_CHECKING:
    from chainrule import plots
    from chainrule.callbacks import CSVLog, MLflow, ProgressBar, TensorBoard
    from chainrule.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
    from chainrule.encoder import TableEncoder
    from chainrule.estimators import MLPClassifier, MLPRegressor, TableClassifier, TableRegressor
    from chainrule.estimators.dask import DaskMLPClassifier, DaskMLPRegressor
    from chainrule.exchange import from_sklearn, from_torch
    from chainrule.files import load
    from chainrule.rate_finder import LearningRateFinder

__all__ = [
    "BinnedRows",
    "CSVLog",
    "Cache",
    "Checkpoint",
    "DaskMLPClassifier",
    "DaskMLPRegressor",
    "DivergenceError",
    "GradientReport",
    "Gradients",
    "History",
    "LearningRateFinder",
    "MLPClassifier",
    "MLPRegressor",
    "MLflow",
    "Network",
    "ProgressBar",
    "Rows",
    "Stop",
    "TableClassifier",
    "TableEncoder",
    "TableRegressor",
    "TensorBoard",
    "Trace",
    "TrainingState",
    "WithinParts",
    "__version__",
    "available_isas",
    "backward",
    "check_gradients",
    "cost",
    "fit_many",
    "forward",
    "from_sklearn",
    "from_torch",
    "get_isa",
    "get_num_threads",
    "init_params",
    "load",
    "load_checkpoint",
    "plots",
    "save_checkpoint",
    "set_isa",
    "set_num_threads",
    "show_config",
    "update",
]
__all__ += losses.__all__
__all__ += optimizers.__all__
__all__ += schedules.__all__

_LATER = {
    "CSVLog": "callbacks",
    "Checkpoint": "checkpoint",
    "LearningRateFinder": "rate_finder",
    "DaskMLPClassifier": "estimators.dask",
    "DaskMLPRegressor": "estimators.dask",
    "MLPClassifier": "estimators",
    "MLPRegressor": "estimators",
    "MLflow": "callbacks",
    "ProgressBar": "callbacks",
    "TableClassifier": "estimators",
    "TableEncoder": "encoder",
    "TableRegressor": "estimators",
    "TensorBoard": "callbacks",
    "from_sklearn": "exchange",
    "from_torch": "exchange",
    "load": "files",
    "load_checkpoint": "checkpoint",
    "plots": "plots",
    "save_checkpoint": "checkpoint",
}  # name: its module


@explained
def set_num_threads(n_threads: int | None) -> None:
    """Set the number of threads for calls that do not specify one; None restores the default.

    Examples
    --------
    >>> import chainrule as cr
    >>> cr.set_num_threads(1)
    >>> cr.get_num_threads()
    1
    >>> cr.set_num_threads(None)
    """
    _core.set_num_threads(optional_integer("n_threads", n_threads))


@explained
def set_isa(name: str) -> None:
    """Set the instruction set for all later calls: one of `available_isas`.

    Examples
    --------
    >>> import chainrule as cr
    >>> cr.set_isa(cr.get_isa())
    """
    _core.set_isa(one_of("instruction set", name, available_isas()))


def show_config() -> None:
    """Print version, compiler, instruction sets, thread backend, number of threads and cache sizes, and their sources.

    Examples
    --------
    >>> import chainrule as cr
    >>> cr.show_config()  # doctest: +ELLIPSIS
    version...
    """
    config = build_config()
    width = max(map(len, config))
    for name, value in config.items():
        print(f"{name:<{width}}  {value}")


if "threadpoolctl" in sys.modules:  # otherwise the estimators do this
    from chainrule import _threadpools as _threadpools


def __getattr__(name: str) -> Any:
    if name in _LATER:  # imported at first use, so that `import chainrule` stays fast
        module = importlib.import_module(f"chainrule.{_LATER[name]}")
        return module if _LATER[name] == name else getattr(module, name)
    hint = "" if name.startswith("_") else did_you_mean(name, __all__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")


def __dir__() -> list[str]:
    return sorted(__all__)
