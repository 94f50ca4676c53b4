import doctest
import importlib
import pkgutil

import pytest

import gradscope_dashboard

# The routes themselves need a TensorBoard, which test_server starts.
MODULES = [found.name for found in pkgutil.iter_modules(gradscope_dashboard.__path__) if found.name != "plugin"]


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_in_docstrings_hold(module: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(f"gradscope_dashboard.{module}"))
    assert failed == 0
