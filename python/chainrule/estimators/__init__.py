"""The estimators: networks with the interface of scikit-learn. They need the extra ``sklearn``."""

from chainrule import _threadpools as _threadpools
from chainrule.estimators._trusted import TRUSTED_TYPES
from chainrule.estimators.classifier import MLPClassifier
from chainrule.estimators.regressor import MLPRegressor
from chainrule.estimators.table_classifier import TableClassifier
from chainrule.estimators.table_regressor import TableRegressor

__all__ = ["TRUSTED_TYPES", "MLPClassifier", "MLPRegressor", "TableClassifier", "TableRegressor"]
