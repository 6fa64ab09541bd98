"""From a YAML file to typed, validated settings.

``document``: YAML with line numbers. ``settings``: the types; ``parameters``: those of the search space; ``values``:
those of single values. ``text``: paths and names of functions. ``faults``: what the types refuse, in words. ``reach``:
rules that nothing could pass or set off. ``validation``: all of them together.
"""

from snnhpo_mpi.config.document import Document, as_yaml
from snnhpo_mpi.config.parameters import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Scale,
    outside,
    searched_space,
    when_text,
)
from snnhpo_mpi.config.settings import (
    ChanceSettings,
    DatasetSettings,
    EncodingSettings,
    MonitorSettings,
    PythonSettings,
    SaturationSettings,
    SlayerSettings,
    StdpSettings,
    StudyConfig,
    TorchSettings,
)
from snnhpo_mpi.config.text import expanded, function_file
from snnhpo_mpi.config.validation import load, load_config

__all__ = [
    "CategoricalParameter",
    "ChanceSettings",
    "DatasetSettings",
    "Document",
    "EncodingSettings",
    "FloatParameter",
    "IntParameter",
    "MonitorSettings",
    "Parameter",
    "PythonSettings",
    "SaturationSettings",
    "Scale",
    "SlayerSettings",
    "StdpSettings",
    "StudyConfig",
    "TorchSettings",
    "as_yaml",
    "expanded",
    "function_file",
    "load",
    "load_config",
    "outside",
    "searched_space",
    "when_text",
]
