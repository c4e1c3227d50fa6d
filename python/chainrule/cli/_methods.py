"""The two methods of `train`: the recipe for tables, which needs no settings, or one plain network."""

import dataclasses
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import chainrule as cr
from chainrule._names import ActivationName

if TYPE_CHECKING:
    from chainrule.estimators._recipe import Recipe

Method: TypeAlias = "TableRecipe | PlainNetwork"

EFFORTS = ("fast", "accurate")
_LAST = 0.1  # if the best epoch is in this last fraction of the epochs, more epochs would help


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableRecipe:
    """Trains `TableClassifier` or `TableRegressor`, which hold out rows themselves and train in stages of epochs."""

    holds_out: ClassVar[bool] = True  # whether the estimator chooses the validation rows
    unit: ClassVar[str] = "stage"  # of an entry of the history

    effort: Literal["fast", "accurate"] = "fast"

    def make_estimator(self, regression: bool, n_rows: int, options: dict[str, Any]) -> Any:
        """Return the estimator. `options` are those of both methods."""
        return (cr.TableRegressor if regression else cr.TableClassifier)(effort=self.effort, **options)

    def count_epochs(self, regression: bool, n_rows: int, n_outputs: int) -> int:
        """Return the largest number of epochs."""
        recipes = self._recipe(regression).to_try(n_rows, n_outputs)
        return sum(recipe.most_epochs(n_rows, n_outputs) for recipe in recipes)

    def count_bytes(self, network: "cr.Network", regression: bool, n_rows: int) -> int:
        """Return the largest size of the parameters of all networks together, given one of the networks."""
        first, *_, last = network.layer_sizes
        numbers = []
        for recipe in self._recipe(regression).to_try(n_rows, last):
            _, *hidden, _ = recipe.layer_sizes(first, n_rows, last)
            sizes = [first, *(width * recipe.networks for width in hidden), last]
            numbers.append(sum((n_in + 1) * n_out for n_in, n_out in pairwise(sizes)))
        return max(numbers) * network.parameters.itemsize

    def describe(self, estimator: Any) -> str:
        """Return how the estimator is trained."""
        return f"recipe for tables, effort {self.effort}"

    def limits(self) -> list[str]:
        """Return the epoch limit as text in a one-element list, or an empty list."""
        return []

    def explain_end(self, history: "cr.History") -> str:
        """Return why training ended, and which parameters are kept."""
        stages = f"{history.epochs} stage" + "s" * (history.epochs > 1)
        reasons = {
            "epochs": "all are done",
            "no_improvement": "the last two stages did not lower the validation cost enough",
            "seconds": "the time is too short for another one",
            "interrupted": "interrupted",
            "diverged": "the cost became NaN or infinite in the next one",
        }
        kept = f"the parameters are those of stage {history.best_epoch}"
        return f"after {stages}, {history.seconds:.2f} s: {reasons[history.stop_reason]}; {kept}"

    def advise(self, history: "cr.History") -> str:
        """Return advice if training ended while the cost was still falling, otherwise an empty string."""
        options = {"seconds": "a larger --time-limit"}
        if self.effort == "fast":
            options["epochs"] = "--effort accurate"
        improving = history.validation is not None and history.best_epoch == history.epochs
        return _advise(options[history.stop_reason]) if improving and history.stop_reason in options else ""

    def _recipe(self, regression: bool) -> "Recipe":
        from chainrule.estimators._recipe import RECIPES  # needs scikit-learn

        return RECIPES[self.effort, "values" if regression else "classes"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlainNetwork:
    """Trains `MLPClassifier` or `MLPRegressor`, with early stopping.

    The defaults were chosen on the data sets adult and california with six seeds: tanh generalizes better than relu on
    such tables (adult 0.857 against 0.853), and more units or a smaller learning rate bring no gain.
    """

    holds_out: ClassVar[bool] = False
    unit: ClassVar[str] = "epoch"

    hidden: tuple[int, ...] = (128, 64)
    activation: ActivationName = "tanh"
    epochs: int = 200
    batch_size: int | None = None
    learning_rate: float = 2e-3
    l2: float = 3e-5

    def make_estimator(self, regression: bool, n_rows: int, options: dict[str, Any]) -> Any:
        """Return the estimator for `n_rows` training rows. `options` are those of both methods."""
        batch_size = min(self.batch_size or choose_batch_size(n_rows), n_rows)
        return (cr.MLPRegressor if regression else cr.MLPClassifier)(
            hidden_layer_sizes=self.hidden,
            activation=self.activation,
            solver=cr.Adam(learning_rate=self.learning_rate),
            alpha=self.l2 * batch_size,  # alpha is divided by the rows of a batch
            batch_size=batch_size,
            max_iter=self.epochs,
            tol=0.0,
            n_iter_no_change=choose_patience(n_rows, batch_size) - 1,  # training ends after one more
            eval_metric="loss",
            preprocess=True,
            **options,
        )

    def count_epochs(self, regression: bool, n_rows: int, n_outputs: int) -> int:
        """Return the largest number of epochs."""
        return self.epochs

    def count_bytes(self, network: "cr.Network", regression: bool, n_rows: int) -> int:
        """Return the size of the network's parameters."""
        return network.parameters.nbytes

    def describe(self, estimator: Any) -> str:
        """Return how the estimator is trained."""
        return f"Adam(learning_rate={self.learning_rate:g}), batches of {estimator.batch_size}, l2 {self.l2:g}"

    def limits(self) -> list[str]:
        """Return the epoch limit as text in a one-element list, or an empty list."""
        return [f"{self.epochs} epochs"]

    def explain_end(self, history: "cr.History") -> str:
        """Return why training ended, and which parameters are kept."""
        best = history.best_epoch
        reasons = {
            "epochs": f"all are done; the parameters are those of epoch {best}",
            "no_improvement": f"no lower validation cost since epoch {best}, whose parameters are kept",
            "seconds": f"the time is up; the parameters are those of epoch {best}, with the lowest validation cost",
            "interrupted": f"interrupted; the parameters are those of epoch {best}, with the lowest validation cost",
        }
        return f"after {history.epochs} epochs, {history.seconds:.2f} s: {reasons[history.stop_reason]}"

    def advise(self, history: "cr.History") -> str:
        """Return advice if training ended while the cost was still falling, otherwise an empty string."""
        options = {"epochs": "a larger --epochs", "seconds": "a larger --time-limit"}
        improving = history.best_epoch > (1 - _LAST) * history.epochs
        return _advise(options[history.stop_reason]) if improving and history.stop_reason in options else ""


def _advise(option: str) -> str:
    return f"the validation cost was still falling: {option} may help"


def choose_batch_size(n_rows: int) -> int:
    """Return the batch size: 256, or less for few rows, so that an epoch has 50 steps, but at least 16."""
    return min(max(n_rows // 50, 16), 256)


def choose_patience(n_rows: int, batch_size: int) -> int:
    """Return the number of epochs without a lower validation cost that end training: 2000 steps, at least 20 epochs.

    With few rows, an epoch has few steps: with 20 epochs, three of six runs on yacht (222 rows) stop near the trivial
    score.
    """
    return max(20, 2000 // -(-n_rows // batch_size))


def choose_method(effort: Literal["fast", "accurate"] | None, given: dict[str, Any]) -> Method:
    """Return the method for the given options of `PlainNetwork`: the recipe for tables if there are none."""
    if not given:
        return TableRecipe() if effort is None else TableRecipe(effort=effort)
    if effort is not None:
        option = f"--{next(iter(given)).replace('_', '-')}"
        raise ValueError(f"--effort and {option} cannot be combined: {option} trains a plain network")
    return PlainNetwork(**given)
