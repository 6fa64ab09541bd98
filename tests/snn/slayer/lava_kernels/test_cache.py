import importlib
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.snn.slayer.lava_kernels import cache

KERNEL = cache.NEEDED[0]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path))
    return tmp_path


@pytest.fixture
def h100(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")


def put(kernel: cache.Kernel, architecture: int, text: str = "") -> Path:
    folder = cache.folder_of(kernel, architecture)
    folder.mkdir(parents=True)
    (folder / f"{kernel.extension}.so").write_text(text)
    return folder / f"{kernel.extension}.so"


@pytest.mark.slayer
def test_each_kernel_has_a_name_and_a_folder_of_its_own(root: Path) -> None:
    """lava-dl calls all of them ``dynamics``."""
    assert len({kernel.extension for kernel in cache.NEEDED}) == len(cache.NEEDED)
    assert len({cache.folder_of(kernel, 90) for kernel in cache.NEEDED}) == len(cache.NEEDED)
    for kernel in cache.NEEDED:
        assert "__global__" in kernel.source.read_text()


@pytest.mark.slayer
def test_a_folder_tells_torch_cuda_architecture_and_source_apart(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = cache.folder_of(KERNEL, 90)
    assert cache.folder_of(KERNEL, 80) != before
    for changed in ({"__version__": "2.99"}, {"version": SimpleNamespace(cuda="12.6")}):
        with monkeypatch.context() as patch:
            for name, value in changed.items():
                patch.setattr(torch, name, value)
            assert cache.folder_of(KERNEL, 90) != before
    other = tmp_path / "lib" / "dl" / "slayer" / "neuron" / "dynamics" / "leaky_integrator.cu"
    other.parent.mkdir(parents=True)
    other.write_text("// another source")
    monkeypatch.setattr(
        cache.importlib.util, "find_spec", lambda name: SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    )
    assert cache.folder_of(KERNEL, 90) != before


@pytest.mark.slayer
def test_an_earlier_architecture_of_the_same_generation_serves(root: Path) -> None:
    assert cache.find(KERNEL, 89) is None
    a100 = put(KERNEL, 80)
    assert cache.find(KERNEL, 89) == a100
    assert cache.find(KERNEL, 90) is None
    assert cache.find(KERNEL, 75) is None


def test_on_a_cpu_no_kernel_is_needed(root: Path) -> None:
    cache.use_kernels("cpu")


@pytest.mark.slayer
def test_a_kernel_that_is_not_built_is_told_with_what_to_run(root: Path, h100: None) -> None:
    with pytest.raises(ConfigError, match=r"leaky_integrator is not built .*sm_90.*snnhpo kernels build --arch 90"):
        cache.use_kernels("cuda:0")


@pytest.mark.slayer
def test_lava_dl_gets_each_kernel_from_its_own_file(root: Path, h100: None, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Path] = {}
    holders = {kernel.name: SimpleNamespace(module=None) for kernel in cache.NEEDED}
    monkeypatch.setattr(cache, "_accelerated", lambda kernel: holders[kernel.name])
    monkeypatch.setattr(cache, "load", lambda kernel, library: given.setdefault(kernel.name, library))
    libraries = {kernel.name: put(kernel, 90) for kernel in cache.NEEDED}
    cache.use_kernels("cuda:0")
    assert given == libraries
    assert {name: holder.module for name, holder in holders.items()} == libraries


@pytest.mark.slayer
def test_lava_dl_keeps_its_kernels_where_we_put_them() -> None:
    from lava.lib.dl.slayer.neuron.dynamics import adaptive_threshold, leaky_integrator

    shift = importlib.import_module("lava.lib.dl.slayer.utils.time.shift")  # its package has a function of that name
    for kernel, module in zip(cache.NEEDED, (leaky_integrator, adaptive_threshold, shift), strict=True):
        holder = cache._accelerated(kernel)
        assert holder is module.Accelerated
        assert holder.module is None
        holder.module = "ours"
        try:
            assert getattr(holder, kernel.name) == "ours"  # it builds nothing when there is one
        finally:
            holder.module = None


@pytest.mark.parametrize(
    ("text", "number"), [("90", 90), ("9.0", 90), ("sm_80", 80), ("compute_100", 100), ("10.3", 103)]
)
def test_architectures_are_read_as_people_write_them(text: str, number: int) -> None:
    assert cache.parse_architecture(text) == number


@pytest.mark.parametrize("text", ["", "A100", "9", "90a", "-90"])
def test_what_is_no_architecture_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match="is no GPU architecture"):
        cache.parse_architecture(text)


@pytest.mark.gpu
@pytest.mark.slayer
def test_kernels_compute_what_the_library_computes_without_them(root: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    from lava.lib.dl.slayer.neuron.dynamics import leaky_integrator

    from snnhpo_mpi.snn.slayer.lava_kernels.build import build

    build([])
    cache.use_kernels("cuda:0")
    current = torch.rand(2, 5, 20)
    decay, state = torch.tensor([128.0]), torch.zeros(2, 5)
    without = leaky_integrator.dynamics(current, decay, state, 1 << 6)
    with_kernel = leaky_integrator.dynamics(current.cuda(), decay.cuda(), state.cuda(), 1 << 6)
    torch.testing.assert_close(with_kernel.cpu(), without)
