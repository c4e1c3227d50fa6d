"""Translates scikit-learn's parameters to the options of `Network.fit`."""

import dataclasses
from typing import Any

import numpy as np

from chainrule._settings import SETTINGS
from chainrule.optimizers import LBFGS, SGD, Adam, Optimizer
from chainrule.schedules import InverseScaling, ReduceOnPlateau
from chainrule.training import Stop

SMALLEST_RATE = 1e-6  # training ends on a plateau once an adaptive learning rate is this low
DECREASE = 2.2e-9  # L-BFGS has converged if the cost decreases by less than this; SciPy's ftol, which scikit-learn uses


def is_stochastic(solver: Any) -> bool:
    """Return whether a solver uses mini-batches."""
    return solver in ("adam", "sgd") if isinstance(solver, str) else not isinstance(solver, LBFGS)


def optimizer(estimator: Any, learning_rate: float) -> Optimizer:
    """Make the optimizer that ``solver`` and its settings describe."""
    if not isinstance(estimator.solver, str):
        given: Optimizer = estimator.solver
        decay = {"weight_decay": estimator.weight_decay} if estimator.weight_decay else {}
        return dataclasses.replace(given, **decay)
    if estimator.solver == "lbfgs":
        return LBFGS(
            max_evaluations=estimator.max_fun,
            tolerance_gradient=estimator.tol,
            tolerance_change=DECREASE,
            unit_first_step=True,
        )
    if estimator.solver == "sgd":
        return SGD(
            learning_rate=learning_rate,
            momentum=estimator.momentum,
            nesterov=bool(estimator.nesterovs_momentum and estimator.momentum > 0),
            rate_in_velocity=True,
            weight_decay=estimator.weight_decay,
        )
    return Adam(
        learning_rate=learning_rate,
        beta1=estimator.beta_1,
        beta2=estimator.beta_2,
        epsilon=estimator.epsilon,
        epsilon_hat=True,
        weight_decay=estimator.weight_decay,
    )


def is_adaptive(estimator: Any) -> bool:
    """Return whether the learning rate is "adaptive" in the sense of scikit-learn."""
    return _follows(estimator, "adaptive")


def _follows(estimator: Any, kind: str) -> bool:
    """Return whether the learning rate is of this kind. Names apply only to SGD."""
    names = isinstance(estimator.solver, str) and isinstance(estimator.learning_rate, str)
    return names and (estimator.solver, estimator.learning_rate) == ("sgd", kind)


def next_learning_rate(estimator: Any) -> float:
    """Compute the learning rate of the next epoch, apart from reductions for lack of improvement."""
    rate = float(estimator.learning_rate_init)
    return rate / (estimator.t_ + 1) ** estimator.power_t if _follows(estimator, "invscaling") else rate


def schedule(estimator: Any, n_rows: int, incremental: bool) -> Any:
    """Return the schedule of the learning rate; None if it is constant."""
    if not isinstance(estimator.learning_rate, str):
        return estimator.learning_rate
    patience = patience_of(estimator)
    if is_adaptive(estimator) and patience is not None:
        return ReduceOnPlateau(factor=0.2, patience=patience - 1, min_delta=estimator.tol)
    if not _follows(estimator, "invscaling") or incremental:  # partial_fit sets the rate of its only epoch
        return None
    if estimator.t_ == 0:
        return InverseScaling(power=estimator.power_t, scale=n_rows)
    seen, power = estimator.t_, estimator.power_t  # a warm start counts all rows ever seen, as in scikit-learn
    return lambda epoch: 1.0 if epoch == 0 else float(seen + epoch * n_rows + 1) ** -power


def patience_of(estimator: Any) -> int | None:
    """Return the number of epochs without improvement that end training or lower the learning rate; None: no limit."""
    return None if np.isinf(estimator.n_iter_no_change) else int(estimator.n_iter_no_change) + 1


def stop(estimator: Any, watched: bool) -> Stop:
    """Return the criteria that end training before ``max_iter``; ``watched`` is true if validation data are watched."""
    if not (is_stochastic(estimator.solver) or watched):
        return Stop(seconds=estimator.time_limit)
    adaptive = is_adaptive(estimator)
    patience = None if adaptive else patience_of(estimator)
    if patience is None and watched:
        patience = estimator.max_iter + 1  # never reached; a limit makes fit keep the best parameters
    return Stop(
        no_improvement=patience,
        min_delta=estimator.tol,
        learning_rate_below=SMALLEST_RATE if adaptive else None,
        seconds=estimator.time_limit,
    )


def shared_with_fit(estimator: Any) -> list[str]:
    """Return the names of the parameters that are settings of `Network.fit` with the same meaning."""
    return [name for name in SETTINGS["fit"] if hasattr(estimator, name) and name not in ("batch_size", "shuffle")]


def fit_options(estimator: Any, n_rows: int, *, incremental: bool, watched: bool) -> dict[str, Any]:
    """Return all options of `Network.fit` except data, seed and callbacks."""
    if not is_stochastic(estimator.solver):
        if estimator.weight_decay:
            raise ValueError("L-BFGS has no weight decay: choose weight_decay=0, and alpha for a penalty")
        if not isinstance(estimator.learning_rate, str):
            raise ValueError("L-BFGS has no schedule of its learning rate: choose learning_rate='constant'")
    shared = {
        "l2": estimator.alpha,
        "l2_per_row": True,
        **{name: getattr(estimator, name) for name in shared_with_fit(estimator)},
        "n_threads": estimator.n_threads,
        "optimizer": optimizer(
            estimator, next_learning_rate(estimator) if incremental else estimator.learning_rate_init
        ),
        "epochs": 1 if incremental else estimator.max_iter,
        "stop": None if incremental else stop(estimator, watched),
    }
    if callable(estimator.loss):
        shared["loss"] = estimator.loss
    if not is_stochastic(estimator.solver):
        return {**shared, "batch_size": None, "shuffle": False}
    batch = 200 if estimator.batch_size == "auto" else estimator.batch_size
    return {
        **shared,
        "batch_size": min(int(batch), n_rows),
        "shuffle": estimator.shuffle,
        "keep_state": True,
        "schedules": schedule(estimator, n_rows, incremental),
    }
