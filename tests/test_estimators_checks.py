"""scikit-learn's checks of estimators: none may fail."""

import pytest

pytest.importorskip("sklearn")

from sklearn.utils.estimator_checks import parametrize_with_checks

import chainrule as cr

ESTIMATORS = [
    cr.MLPClassifier(max_iter=100),
    cr.MLPClassifier(activation="tanh", solver="lbfgs", alpha=1.0),  # near relu's kink, rounding changes activations
    cr.MLPRegressor(max_iter=100),
    cr.MLPRegressor(solver="lbfgs"),
    cr.TableClassifier(),
    cr.TableEncoder(),
    cr.TableRegressor(),
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore:The network predicts")
@parametrize_with_checks(ESTIMATORS)
def test_estimator_passes_scikit_learn_check(estimator, check):
    check(estimator)
