"""Registers this package's thread pool with threadpoolctl, which finds the OpenMP backend by itself."""

from typing import Any

from chainrule import _core
from chainrule._optional import require

threadpoolctl = require("threadpoolctl", "sklearn")


def register() -> None:
    """Let threadpoolctl show and limit this package's threads, as it does for BLAS and OpenMP."""
    LibController: Any = threadpoolctl.LibController

    class Controller(LibController):  # type: ignore[misc]
        user_api = internal_api = "chainrule"
        filename_prefixes = ("_core",)
        check_symbols = ("chainrule_num_threads",)  # needed because other packages have a _core too

        def get_num_threads(self) -> int:
            return _core.get_num_threads()

        def set_num_threads(self, num_threads: int) -> None:
            _core.set_num_threads(None)  # setting the default number restores the default
            if _core.get_num_threads() != num_threads:
                _core.set_num_threads(num_threads)

        def get_version(self) -> str:
            return _core.__version__

    threadpoolctl.register(Controller)


if _core.build_config()["thread_backend"] == "threads" and hasattr(threadpoolctl, "register"):  # version 3.3 or later
    register()
