"""What TensorBoard loads at its start, before it knows whether anyone will look.

An exception while this module is imported, or in `GradscopeLoader.fix_flags`, takes the whole of TensorBoard down; one
in `GradscopeLoader.load` only hides the tab. So all that could fail is imported there.
"""

from __future__ import annotations

from typing import Any, cast

from tensorboard.plugins import base_plugin


class GradscopeLoader(base_plugin.TBLoader):
    """Makes the tab, and asks the loaders of data for every recorded step rather than a sample of them."""

    def fix_flags(self, flags: Any) -> None:
        """Keep all steps of ours, unless the user said how many with ``--samples_per_plugin``."""
        samples = getattr(flags, "samples_per_plugin", None)
        if isinstance(samples, dict):
            cast("dict[str, int]", samples).setdefault("gradscope", 0)  # 0 keeps all

    def load(self, context: base_plugin.TBContext) -> Any:  # no stubs: the base class seems to return None
        """Return the tab."""
        from gradscope_dashboard.plugin import GradscopePlugin

        return GradscopePlugin(context)
