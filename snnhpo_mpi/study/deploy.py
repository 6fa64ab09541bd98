"""The networks that a retraining saved, as files of NIR that are proven on samples of its data."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from snnhpo_mpi.config import PythonSettings, StudyConfig
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.record.identity import completed

N_SAMPLES = 20  # that a file and its network must agree on


def export_nir(data: StudyData, folder: Path) -> list[str]:
    """Write ``FOLDER/NAME.nir`` of each network that was saved, and say what was proven of it.

    Args:
        data: of a retraining.
        folder: of the files; made if need be.

    Raises:
        ConfigError: the study saved no network, NIR cannot say one, or a file would fire other spikes.
    """
    if importlib.util.find_spec("nir") is None:
        raise ConfigError("--format nir needs the package nir: pip install 'snnhpo_mpi[nir]'")
    saved = _saved(data)
    trainer = StudyConfig.model_validate(completed(data.config)).trainer
    if isinstance(trainer, PythonSettings):
        raise ConfigError(f"{data.folder}: --format nir is for networks, not for the trainer python")
    from snnhpo_mpi.snn.data import load_final
    from snnhpo_mpi.snn.nir.proof import convert

    samples = load_final(trainer.dataset, data.config["study"]["seed"], trainer.encoding).held_x[:N_SAMPLES]
    folder.mkdir(parents=True, exist_ok=True)
    said = []
    for path in saved:
        to = folder / f"{path.stem}.nir"
        n_spikes = convert(path, to, samples)
        said.append(f"{to}: its {n_spikes} spikes on {len(samples)} test samples are those of the network")
    return said


def _saved(data: StudyData) -> list[Path]:
    """The networks of a retraining, in order.

    Raises:
        ConfigError: there is none.
    """
    if data.retraining is None:
        raise ConfigError(
            f"{data.folder} is a search, whose networks are not kept: snnhpo retrain {data.folder} --save, then "
            f"snnhpo export {data.folder / 'retrain'} --format nir"
        )
    saved = sorted((data.folder / data.retraining.networks).glob("*.pt")) if data.retraining.networks else []
    if not saved:
        raise ConfigError(f"{data.folder}: no network was saved: snnhpo retrain with --save keeps them")
    return saved
