"""What every worker rank of a study is to evaluate, as the text that rank 0 sends it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from snnhpo_mpi.config import StudyConfig


@dataclass(frozen=True, slots=True)
class Assignment:
    """The same for all workers and trials.

    Attributes:
        config: of the study.
        final: train on all training data, and score on test data that no search has seen.
        networks: folder, in that of the study, for the trained networks; None to forget them.
    """

    config: StudyConfig
    final: bool = False
    networks: str | None = None

    def as_text(self) -> str:
        """JSON."""
        return json.dumps({"config": self.config.model_dump_json(), "final": self.final, "networks": self.networks})

    @staticmethod
    def from_text(text: str) -> Assignment:
        """Inverse of ``as_text``."""
        told = json.loads(text)
        return Assignment(StudyConfig.model_validate_json(told["config"]), told["final"], told["networks"])
