"""``snnhpo schema``: the JSON schema of the configuration."""

from __future__ import annotations

import argparse
import json

from snnhpo_mpi.cli.streams import say

HELP = "print the JSON schema of the configuration, with which editors complete and check it"
EXAMPLE = "snnhpo schema > snnhpo.schema.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None."""


def main(args: argparse.Namespace) -> int:
    """Print it."""
    from snnhpo_mpi.config import StudyConfig

    say(json.dumps(StudyConfig.model_json_schema(), indent=2))
    return 0
