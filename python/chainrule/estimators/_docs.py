"""Documentation that both estimators share."""

from collections.abc import Callable
from typing import TypeVar

from chainrule._settings import SETTINGS, indented
from chainrule.estimators._options import shared_with_fit

Class = TypeVar("Class", bound=type)

_PARAMETERS = """hidden_layer_sizes : array_like of int, or int, default (100,)
        Number of units of each hidden layer; ``()`` is a linear model.
    activation : str or list of str, default "relu"
        Activation of the hidden layers, one for all or one for each; `forward` lists them.
    solver : {{"adam", "sgd", "lbfgs"}} or optimizer, default "adam"
        "adam" and "sgd" are those of scikit-learn; "lbfgs" uses all rows in each step. Or an optimizer with its own
        settings, such as ``cr.AdamW()`` or ``cr.RMSprop()``.
    alpha : float, default 1e-4
        L2 penalty: ``alpha / 2 · Σ‖W‖²``, divided by the sum of the batch's weights, is added to the batch's cost. As
        in scikit-learn, multiplying all sample weights by a constant therefore changes the model; use weights with
        mean 1 to keep the meaning of alpha.
    batch_size : int or "auto", default "auto"
        Rows per step; "auto" is 200, or all rows if there are fewer.
    learning_rate : {{"constant", "invscaling", "adaptive"}}, schedule or callable, default "constant"
        The names are for "sgd". "invscaling" uses ``learning_rate_init / (rows seen + 1)^power_t`` after each epoch;
        "adaptive" divides the rate by 5 whenever there was no improvement for ``n_iter_no_change`` epochs. Schedules
        such as ``cr.Cosine()``, or a callable from epoch to factor, are for all solvers with mini-batches. `Cosine` and
        `OneCycle` end at ``max_iter``, which then causes no warning.
    learning_rate_init : float, default 1e-3
        Initial learning rate of "adam" and "sgd".
    power_t : float, default 0.5
        The exponent of "invscaling".
    max_iter : int, default 200
        Maximum number of epochs, or of iterations of "lbfgs".
    shuffle : bool or WithinParts, default True
        Use a new random order of the rows in each epoch. `Rows` that are not encoded need `WithinParts`.
    random_state : int, RandomState or None, default None
        Seed of the initial weights, the choice of held-out rows, the order of the rows, and dropout.
    tol : float, default 1e-4
        An improvement is a cost that is lower, or a validation score that is higher, than the best so far by at least
        this much. "lbfgs" ends when no derivative is larger.
    verbose : bool or int, default False
        Print the cost of each epoch.
    warm_start : bool, default False
        Let `fit` start with the weights of the last fit and a new optimizer. All parameters may change except those
        that determine the shape, type and inputs of the network: ``hidden_layer_sizes``, ``dtype``, ``preprocess`` and
        ``categorical_features``. Changing one of these raises an error.
    momentum : float, default 0.9
        Momentum of "sgd".
    nesterovs_momentum : bool, default True
        Use Nesterov momentum in "sgd".
    early_stopping : bool, default False
        Hold out part of the rows, end training when their score does not improve, and keep the best weights.
    validation_fraction : float, default 0.1
        The fraction of the rows that is held out.
    beta_1, beta_2, epsilon : float, default 0.9, 0.999 and 1e-8
        Settings of "adam"; epsilon is added to √v before its bias correction, as in scikit-learn.
    n_iter_no_change : int or inf, default 10
        End training after more than this many epochs without improvement.
    max_fun : int, default 15000
        Maximum number of evaluations of the cost in "lbfgs".
    weight_decay : float, default 0
        Decoupled weight decay: parameters shrink by ``learning rate · weight_decay`` in each step.
    {of_fit}
    eval_metric : str, callable or list of them, optional
        Metrics to record on the validation data after each epoch, in addition to the cost; without validation data,
        `fit` raises an error. Early stopping watches the first one; "loss" alone means the cost. Default: {metric}.
        Names and callables are those of `Network.fit`.
    callbacks : iterable, default ()
        See `Network.fit`.
    stratify : bool, optional
        Hold out the same fraction of each class. Default: stratify only if there are two classes, as scikit-learn does.
    time_limit : float, optional
        Number of seconds after which no further epoch begins.
    preprocess : bool, "auto" or TableEncoder, default "auto"
        Encode the columns of a table (numbers, text, categories, booleans, dates, missing values) as `TableEncoder`
        does. Regression targets are also standardized, unless the loss depends on their unit, as "poisson" does and
        callables may; costs and the parameters of losses then refer to the standardized targets. Everything is learned
        from the training rows only. "auto" encodes data frames that have a column whose type is not numeric or boolean,
        and all data if ``categorical_features`` names columns. It considers only types, never values, so that every
        part of a table is treated alike. True encodes all data frames and arrays; so does a `TableEncoder`, with its
        own settings. False is scikit-learn's behavior. `partial_fit` learns the encoding from its first call: columns
        that are constant there are kept, levels that appear later share one feature, and the scale of the targets is
        fixed.
    categorical_features : "from_dtype", list of str, int or bool, or None, default "from_dtype"
        Columns of a table that are categories even if their values are numbers: those of a categorical type, those with
        the given names or positions or with True in a mask, or none.
    n_threads : int, optional
        Default: `get_num_threads`. The results are the same for any number.
    dtype : {{"float32", "float64"}}, optional
        Type of the network. Default: float32 if X is float32, otherwise float64."""

_ATTRIBUTES = """network_ : Network
        The trained network.
    history_ : History
        The record of the last fit: costs, metrics, learning rates, and the reason why it ended.
    coefs_, intercepts_ : list of ndarray, shapes (n_in, n_out) and (n_out,)
        Weights and biases of each layer: views of the network's parameters, which may be assigned and written to.
    loss_, loss_curve_ : float, list of float
        The cost of the last epoch, and of all epochs. The cost of a batch is computed before the step on that batch.
    best_loss_ : float or None
        The lowest cost; None if validation data determined the best epoch.
    validation_scores_, best_validation_score_ : list of float and float, or None
        Score of the validation data after each epoch, and of the epoch whose weights were kept.
    n_iter_, t_ : int
        Epochs of the last fit, and rows seen in all fits.
    n_layers_, n_outputs_, out_activation_ : int, int, str
        Number of layers, including the inputs; number of outputs; activation of the last layer.
    n_features_in_, feature_names_in_ : int, ndarray of str
        Number of columns of X, and their names if X has names.
    encoder_ : TableEncoder
        The encoder, if a table was encoded; ``encoder_.feature_names`` are the names of the network's inputs."""


_TABLE_PARAMETERS = """effort : {"fast", "accurate"}, default "fast"
        "fast" trains two networks and takes about as long as gradient boosting. "accurate" trains ten for longer, and
        each fifth of the rows is held out by two of them. With 2,000 to 20,000 rows, and values or more than two
        classes, it also trains wide networks, and keeps those that are best on the held-out rows.
    time_limit : float, optional
        Seconds after which no further training stage begins; a stage takes half as long again as the one before.
    random_state : int, RandomState or None, default None
        Seed of the initial weights, the choice of held-out rows, the order of the rows, and dropout.
    verbose : bool or int, default False
        Print the costs after each stage.
    callbacks : iterable, default ()
        See `Network.fit`; they are called after each stage, and ``logs["epoch"]`` is the number of epochs so far.
    categorical_features : "from_dtype", list of str, int or bool, or None, default "from_dtype"
        Columns that are categories even if their values are numbers: those of a categorical type, those with the given
        names or positions or with True in a mask, or none.
    encoder : TableEncoder, optional
        Encode the columns with its settings. Default: ``TableEncoder(bins=16)``.
    n_threads : int, optional
        Default: `get_num_threads`. The results are the same for any number."""

_TABLE_ATTRIBUTES = """network_ : Network
        The trained networks merged into one, whose logits are the mean of theirs. For classes, the logits are
        multiplied by the factor with which the probabilities fit the held-out rows best.
    history_ : History
        The record of training, with an entry for each stage instead of each epoch: costs, and why it ended. For classes
        and "accurate", the validation costs are Brier scores.
    n_iter_ : int
        Number of epochs that led to the kept parameters.
    n_outputs_ : int
        Outputs of the network.
    n_features_in_, feature_names_in_ : int, ndarray of str
        Number of columns of X, and their names if X has names.
    encoder_ : TableEncoder
        The encoder of X; ``encoder_.feature_names`` are the names of the network's inputs."""


def documented_table(estimator: Class) -> Class:
    """Put the parts that the table estimators share into a class's docstring."""
    if estimator.__doc__ is not None:  # None with python -OO
        estimator.__doc__ = estimator.__doc__.format(parameters=_TABLE_PARAMETERS, attributes=_TABLE_ATTRIBUTES)
    return estimator


def documented(metric: str) -> Callable[[Class], Class]:
    """Insert the shared parts into the docstring of a class; ``metric`` is the default of ``eval_metric``."""

    def fill(estimator: Class) -> Class:
        of_fit = (SETTINGS["fit"][name].documented(getattr(estimator, name)) for name in shared_with_fit(estimator))
        parameters = _PARAMETERS.format(metric=metric, of_fit=indented(of_fit, 1))
        if estimator.__doc__ is not None:  # None with python -OO
            estimator.__doc__ = estimator.__doc__.format(parameters=parameters, attributes=_ATTRIBUTES)
        return estimator

    return fill
