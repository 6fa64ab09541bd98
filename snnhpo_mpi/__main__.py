"""``python -m snnhpo_mpi`` is ``snnhpo``."""

from snnhpo_mpi.cli import entry

if __name__ == "__main__":
    entry()
