from snnhpo_mpi.host import provenance


def test_provenance_is_text_and_names_versions() -> None:
    facts = provenance.provenance()
    assert all(isinstance(value, str) for value in facts.values())
    assert facts["version_numpy"]
