"""The feature net of a run's monitor, which also judges its images later."""

from __future__ import annotations

from synthaug.config import Config
from synthaug.data.cache import LabelledImages
from synthaug.data.run_data import RunData
from synthaug.errors import SynthaugError
from synthaug.features import FeatureNet, check_features, features_for, permitted
from synthaug.progress import Progress
from synthaug.runs import Run


def check_permitted(data: RunData, named: str | None, *, trains: bool = False) -> None:
    """Check, before hours of work, that `monitor_net` may load its net.

    Args:
        data: of a run, or of a folder.
        named: see `permitted`.
        trains: further runs are trained, with the net of the configuration.

    Raises:
        SynthaugError: it is not permitted, or there is no such net.
    """
    stored = data.config.monitor.features
    if named is not None:
        check_features(named)
    permitted(stored, None if trains and named != stored else named, data.name)


def monitor_net(
    run: Run | None, config: Config, named: str | None, train: LabelledImages, *, device: str, progress: Progress
) -> FeatureNet:
    """The net that a flag has `named`, otherwise that of the configuration.

    Args:
        run: whose folder keeps the net `own`; None without a run.
        config: of the run.
        named: see `permitted`.
        train: the real training images, for `own`.
        device: where the net runs.
        progress: where to report the training of `own`.

    Raises:
        SynthaugError: the net is not permitted, cannot be loaded, or has changed since the run was trained.
    """
    stored = config.monitor.features
    name = permitted(stored, named, "the configuration" if run is None else f"the run {run.name!r}")
    folder = run.path if run is not None else None
    net = features_for(name, train, folder=folder, seed=config.seed, device=device, progress=progress)
    if run is not None and name == stored:
        check_unchanged(run, net)
    return net


def check_unchanged(run: Run, net: FeatureNet) -> None:
    """Check that `net` is the foreign net that the run was trained with.

    Raises:
        SynthaugError: it has another hash.
    """
    noted = run.facts().features_sha256
    if noted not in (None, net.sha256):
        raise SynthaugError(
            f"the feature net {net.name!r} is not the one that the run {run.name!r} was trained with: its hash differs",
            f"give the file with the SHA-256 {noted}",
        )
