"""From a YAML file to typed, validated settings.

``document``: YAML with line numbers. ``settings``: the types. ``validation``: what must hold, and how a fault is said.
"""

from snnhpo_mpi.config.settings import (
    Candidate,
    CategoricalParameter,
    ChanceSettings,
    DatasetSettings,
    EncodingSettings,
    FloatParameter,
    IntParameter,
    MonitorSettings,
    Parameter,
    PythonSettings,
    RetrainSettings,
    SaturationSettings,
    Scale,
    SlayerSettings,
    StdpSettings,
    StudyConfig,
)
from snnhpo_mpi.config.validation import load_config, outside

__all__ = [
    "Candidate",
    "CategoricalParameter",
    "ChanceSettings",
    "DatasetSettings",
    "EncodingSettings",
    "FloatParameter",
    "IntParameter",
    "MonitorSettings",
    "Parameter",
    "PythonSettings",
    "RetrainSettings",
    "SaturationSettings",
    "Scale",
    "SlayerSettings",
    "StdpSettings",
    "StudyConfig",
    "load_config",
    "outside",
]
