"""Activations of one sign, which force the gradients of a unit's weights to one sign too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from gradscope.diagnose.advice import another_function, normalise, those
from gradscope.diagnose.finding import Evidence, Finding
from gradscope.diagnose.series import (
    Floats,
    hidden_sites,
    is_bounded,
    latest,
    site_series,
    spread_over_samples,
    variable_series,
)
from gradscope.network import Network, Site, Variable
from gradscope.store.frames import Frames


def not_zero_centred(
    frames: Frames, *, mean_share: float = 0.8, agreement: float = 0.85, records: float = 10
) -> Iterator[Finding]:
    """A bounded function of one sign, such as sigmoid, feeds a dense layer nearly the same positive number always.

    The gradients of a unit's weights are its backward signal times its inputs. Where all inputs are positive, all of
    them have the sign of the signal, so that the weights can only grow or shrink together, and the path to where they
    should go is a zigzag. ReLU is of one sign too, but half of it is zero.

    Severity: low. It slows learning down and breaks nothing.

    What to try: tanh, or a normalisation behind the function.

    Args:
        frames: The run.
        mean_share: Squared mean over mean square of the activations, fraction: what is constant in them.
        agreement: Sign agreement of the next kernel's gradient, fraction; chance is about a half.
        records: Records at the beginning that are looked at, records; later the signal itself has become noise.

    Source:
        LeCun, Bottou, Orr and Mueller, "Efficient BackProp", 1998; the measure is ours.
    """
    sites = [site for site in hidden_sites(frames.network) if _has_one_sign(site)]
    fed_by = _dense_readers(frames.network)
    pairs = [(site, kernel) for site in sites if (kernel := fed_by(site)) is not None]
    if not pairs:
        return
    series = site_series(frames, [site for site, _ in pairs])
    count = int(records)
    mean, spread = series("mean")[:count], spread_over_samples(frames, series)[:count]
    with np.errstate(invalid="ignore", divide="ignore"):
        constant = _median(mean**2 / (mean**2 + spread**2))
    agreed = _agreement(frames, [kernel for _, kernel in pairs], count)
    bad = np.flatnonzero((constant > mean_share) & (agreed >= agreement))
    if not len(bad) or not len(series.steps):
        return
    worst = int(bad[np.argmax(agreed[bad])])
    site, kernel = pairs[worst]
    layers = tuple(dict.fromkeys(pairs[int(column)][0].layer for column in bad))
    sign = "positive" if site.profile is not None and site.profile.minimum >= 0 else "negative"
    yield Finding(
        rule="not_zero_centred",
        statistic="activations.mean",
        severity="low",
        layer=site.layer,
        first_step=int(series.steps[0]),
        last_step=int(series.steps[:count][-1]),
        message=f"{site.layer} hands on {sign} numbers only, so that {100 * agreed[worst]:.0f}% of the gradients of "
        f"a unit of {kernel.layer} have one sign: its weights move together.",
        evidence=(
            Evidence("constant part of the activations", float(constant[worst]), mean_share, unit="fraction"),
            Evidence("sign agreement of the next kernel", float(agreed[worst]), agreement, unit="fraction"),
        ),
        advice=those(
            [
                another_function(
                    frames.network, layers, "tanh", f"Use a function centred on zero instead of {site.activation}."
                ),
                normalise(frames.network, layers),
            ]
        ),
        layers=layers,
    )


def _has_one_sign(site: Site) -> bool:
    profile = site.profile
    return profile is not None and is_bounded(site) and (profile.minimum >= 0 or profile.maximum <= 0)


def _dense_readers(network: Network) -> Callable[[Site], Variable | None]:
    """Return what finds the kernel of the dense layer that reads a site; None where the graph does not tell."""
    readers: dict[str, list[str]] = {}
    for start, end in network.edges or ():
        readers.setdefault(start, []).append(end)
    classes = {layer.key: layer.class_name for layer in network.layers}
    kernels = {variable.layer: variable for variable in network.variables if variable.role == "kernel"}

    def reader(site: Site) -> Variable | None:
        key, passed = site.layer, set[str]()
        while len(ends := readers.get(key, [])) == 1 and ends[0] not in passed:
            key = ends[0]
            passed.add(key)  # a layer that is applied twice may lead back to itself
            if classes.get(key) == "Dense":
                return kernels.get(key)
            if classes.get(key) not in {"Dropout", "Flatten"}:
                return None
        return None

    return reader


def _agreement(frames: Frames, kernels: Sequence[Variable], count: int) -> Floats:
    series = variable_series(frames, list(dict.fromkeys(kernels)))
    column_of = {variable.path: column for column, variable in enumerate(series.places)}
    columns = [column_of[kernel.path] for kernel in kernels]
    return _median(series("sign_agreement")[:count])[columns]


def _median(values: Floats) -> Floats:
    return latest(values, len(values)) if len(values) else np.full(values.shape[1:], np.nan)
