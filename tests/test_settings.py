"""Every setting is defined once, in the core's list; Python's classes, signatures and documentation agree with it."""

import dataclasses
import importlib.util
import inspect
import math
from pathlib import Path
from typing import get_args

import pytest

import chainrule as cr
from chainrule import _core, _names
from chainrule._settings import SETTINGS, Settings
from chainrule.training import FIT_SETTINGS, FitSettings

DOCS = Path(__file__).parent.parent / "python" / "docs"
X, Y = [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]


def kinds(base=Settings):
    return [kind for one in base.__subclasses__() for kind in (one, *kinds(one)) if hasattr(kind, "core_name")]


CLASSES = [kind for kind in kinds() if dataclasses.fields(kind)]
OWN_DEFAULTS = {(cr.AdamW, "weight_decay"): 0.01}
OUT_OF_RANGE = {
    "a positive number": 0.0,
    "0 or more": -1,
    "at least 1": 0,
    "a finite number": math.inf,
    "0 <= {} < 1": 1.0,
    "0 <= {} <= 1": 1.5,
    "0 < {} < 1": 1.0,
}


def out_of_range(setting):
    """Return a value, and what is expected instead."""
    value = OUT_OF_RANGE[setting.range.replace(setting.name, "{}")]
    return (int(value) if setting.type == "int" else value), setting.range


@pytest.mark.parametrize("kind", CLASSES)
def test_classes_have_the_settings_and_defaults_of_the_core(kind):
    settings = SETTINGS[kind.core_name]
    fields = {field.name: field.default for field in dataclasses.fields(kind)}
    assert list(fields) == list(settings)
    for name, setting in settings.items():
        assert fields[name] == OWN_DEFAULTS.get((kind, name), setting.default)
        assert type(fields[name]) is type(setting.default)


def test_every_struct_of_the_core_has_a_class():
    assert {kind.core_name for kind in CLASSES} | {"fit", "schedules"} == SETTINGS.keys()


@pytest.mark.parametrize("function", [cr.Network.fit, cr.fit_many])
def test_fits_have_the_settings_and_defaults_of_the_core(function):
    parameters = inspect.signature(function).parameters
    assert list(FIT_SETTINGS) == list(FitSettings.__annotations__)
    types = {"bool": bool, "int": int, "float": float, "str": str}
    for name, setting in FIT_SETTINGS.items():
        if setting.type in types:
            kinds = {types[setting.type]} | ({type(None)} if setting.default is None else set())
            annotation = parameters[name].annotation
            assert kinds == set(get_args(annotation) or [annotation])
    assert {name: parameters[name].default for name in FIT_SETTINGS} == {
        s.name: s.default for s in FIT_SETTINGS.values()
    }


@pytest.mark.parametrize("kind", [*CLASSES, cr.Network.fit, cr.fit_many])
def test_docstrings_describe_every_setting(kind):
    words = " ".join(inspect.getdoc(kind).split())
    for setting in (SETTINGS[kind.core_name] if isinstance(kind, type) else FIT_SETTINGS).values():
        assert f" {setting.name} : {setting.type}" in words
        assert setting.meaning in words
    assert "{" not in words.replace('{"weights", "biases"}', "").replace('{"float32", "bf16"}', "")


@pytest.mark.parametrize(
    ("kind", "setting"),
    [(kind, setting) for kind in CLASSES for setting in SETTINGS[kind.core_name].values() if setting.range],
)
def test_values_out_of_range_raise_at_construction(kind, setting):
    value, expected = out_of_range(setting)
    with pytest.raises(
        ValueError, match=f"^{setting.name}( of a (group|schedule))? is {value:g}, expected {expected}$"
    ):
        kind(**{setting.name: value})
    if setting.type == "float":
        with pytest.raises(ValueError, match=f"^{setting.name}( of a (group|schedule))? is nan, expected {expected}$"):
            kind(**{setting.name: math.nan})


@pytest.mark.parametrize("setting", [setting for setting in SETTINGS["fit"].values() if setting.range])
def test_fit_raises_for_values_out_of_range(setting):
    value, expected = out_of_range(setting)
    net = cr.Network([1, 1], loss="squared_error", seed=0)
    with pytest.raises(ValueError, match=f"^{setting.name} is {value:g}, expected {expected}$"):
        net.fit(X, Y, **{setting.name: value})


@pytest.mark.parametrize(
    ("kind", "setting"), [(kind, setting) for kind in CLASSES for setting in SETTINGS[kind.core_name].values()]
)
def test_values_of_another_type_raise(kind, setting):
    with pytest.raises(TypeError, match=f"{setting.name}|the kind of a group"):
        kind(**{setting.name: object()})


def test_estimator_settings_equal_those_of_fit():
    pytest.importorskip("sklearn")
    for kind in (cr.MLPClassifier, cr.MLPRegressor):
        parameters = inspect.signature(kind).parameters
        for name in ("dropout", "input_dropout", "clip_norm", "ema"):
            assert parameters[name].default == SETTINGS["fit"][name].default
            assert SETTINGS["fit"][name].meaning in " ".join(kind.__doc__.split())


def test_the_page_of_parameters_is_up_to_date():
    """If this fails: python python/docs/parameters.py."""
    pytest.importorskip("sklearn")
    spec = importlib.util.spec_from_file_location("parameters", DOCS / "parameters.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (DOCS / "parameters.md").read_text(encoding="utf-8") == module.page()


@pytest.mark.parametrize("name", ["Activation", "Loss", "Metric", "Init", "Precision"])
def test_names_for_type_checkers_are_those_of_the_core(name):
    lists = {
        "Activation": "ACTIVATIONS",
        "Loss": "LOSSES",
        "Metric": "METRICS",
        "Init": "INITS",
        "Precision": "PRECISIONS",
    }
    assert get_args(getattr(_names, f"{name}Name")) == tuple(getattr(_core, lists[name]))
