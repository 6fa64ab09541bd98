"""A trained network as one file of tensors, numbers and names, which ``torch.load(weights_only=True)`` opens.

Keys: ``format``, ``trainer``, ``network``, ``engine`` (of ``trainer: torch`` instead ``forward``, how it is read),
``params`` (of the network's table), ``encoding``, ``input_shape`` (``C``, ``H``, ``W``), ``n_classes`` and ``state``:
what was learnt, in the trainer's own form.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from snnhpo_mpi.config import PythonSettings, SlayerSettings, StdpSettings, StudyConfig, TorchSettings
from snnhpo_mpi.host.atomic_write import atomic_write
from snnhpo_mpi.snn.data import Split
from snnhpo_mpi.trial import Params

FORMAT = 1


def save_network(path: Path, config: StudyConfig, params: Params, split: Split, state: Mapping[str, Any]) -> None:
    """Write a trained network, whole or not at all.

    Args:
        path: of the file; its folder is made if need be.
        config: of the training.
        params: a value of every hyperparameter of the network.
        split: what it was trained on.
        state: what was learnt, as tensors or arrays, and numbers.
    """
    import torch  # here: what trains without torch can be saved with it

    assert not isinstance(config.trainer, PythonSettings)
    path.parent.mkdir(parents=True, exist_ok=True)
    contents = {
        "format": FORMAT,
        "trainer": config.trainer.name,
        "network": config.trainer.network,
        **_how(config.trainer),
        "params": dict(params),
        "encoding": config.trainer.encoding.model_dump(),
        "input_shape": list(split.train_x.shape[1:4]),
        "n_classes": split.n_classes,
        "state": _of_tensors(state),
    }
    with atomic_write(path, durable=True) as new:
        torch.save(contents, new)


def _how(trainer: StdpSettings | SlayerSettings | TorchSettings) -> dict[str, Any]:
    if isinstance(trainer, TorchSettings):
        return {"forward": trainer.model_dump(include={"layout", "features", "output", "loss"})}
    return {"engine": trainer.engine}


def _of_tensors(state: Any) -> Any:
    """The state with tensors for arrays, which torch's own reader refuses."""
    import torch

    if isinstance(state, Mapping):
        return {name: _of_tensors(value) for name, value in state.items()}
    return torch.from_numpy(state) if isinstance(state, np.ndarray) else state
