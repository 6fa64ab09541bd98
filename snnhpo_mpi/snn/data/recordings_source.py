"""What is known of the recordings that a part consists of: checksum, number, and whether some stand twice."""

from __future__ import annotations

import hashlib
from pathlib import Path

from snnhpo_mpi.config.datasets import DATASETS
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.snn.data.events import Events
from snnhpo_mpi.snn.data.part import NOT_PUBLISHED, Source
from snnhpo_mpi.snn.data.recordings import Recording


class Copies:
    """Finds recordings with the same events as another: one trained on and the other held out make a score too good."""

    def __init__(self) -> None:
        self._first: dict[bytes, Recording] = {}
        self._copies: list[tuple[Recording, Recording]] = []

    def note(self, recording: Recording, events: Events) -> None:
        """Compare a recording with those before it."""
        digest = hashlib.sha256()
        for values in (events.t_us, events.x, events.y, events.channel):
            digest.update(values.tobytes())
        first = self._first.setdefault(digest.digest(), recording)
        if first is not recording:
            self._copies.append((first, recording))

    def __str__(self) -> str:
        """Empty if there are none."""
        if not self._copies:
            return ""
        first, copy = self._copies[0]
        return f"{len(self._copies):,} of them have the same events as another, such as {copy.name} and {first.name}"


def source_of(name: str, place: Path, part: str, found: list[Recording], copies: Copies) -> Source:
    """The file or folder of a part.

    Args:
        name: of the data set.
        place: the file or folder.
        part: train or test.
        found: its recordings.
        copies: those that stand twice.

    Raises:
        ConfigError: a file can no longer be read.
    """
    digest, n_bytes = hashlib.sha256(), 0
    for path in dict.fromkeys(recording.path for recording in found):
        try:
            if path != place:
                digest.update(f"{path.relative_to(place)}\0".encode())
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
                    n_bytes += len(block)
        except OSError as error:
            raise ConfigError(f"{path}: unreadable: {error.strerror}") from error
    n_published = DATASETS[name].n_published[part]
    notes = [f"{len(found):,} recordings"]
    if len(found) != n_published:
        notes.append(f"{NOT_PUBLISHED} ({n_published:,} recordings)")
    return Source(str(place.resolve()), n_bytes, digest.hexdigest(), "; ".join([*notes, *filter(None, [str(copies)])]))
