"""The configuration reference: made from the program's tables, and nothing of them is missing."""

from pathlib import Path

from snnhpo_mpi.config.reference import reference
from snnhpo_mpi.config.values import Settings
from snnhpo_mpi.hyperparameters.networks import NETWORKS

REFERENCE = Path(__file__).parents[2] / "docs" / "configuration-reference.md"


def settings(kind: type[Settings] = Settings) -> set[type[Settings]]:
    return {kind, *(inner for one in kind.__subclasses__() for inner in settings(one))}


def test_the_reference_is_what_the_generator_gives() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == reference(), (
        "python -m snnhpo_mpi.config.reference > docs/configuration-reference.md"
    )


def test_every_key_has_a_meaning_and_stands_in_the_reference() -> None:
    text = reference()
    for one in settings():
        for key, field in one.model_fields.items():
            assert field.description, f"{one.__name__}.{key} lacks a docstring"
            assert f"| `{key}` | {field.description.split()[0].replace('``', '`')}" in text, f"{one.__name__}.{key}"


def test_every_hyperparameter_stands_there_with_unit_range_and_default() -> None:
    text = reference()
    for networks in NETWORKS.values():
        for network, table in networks.items():
            assert f"`{network}`" in text
            for name, one in table.items():
                assert f"| `{name}` | {one.what} | {one.range.unit if one.range else ''} | " in text
    assert "| `e_thresh` | threshold, excitatory | mV | -1000000 to 1000000 | `-52` |" in text
    assert "| `time_limit` | A trial over it is failed. | a duration, 0.001s to 3650d | `6h` |" in text
    assert "| `beta` | Largest tolerated share of silent samples. | 0 to below 1 | *needed* |" in text
