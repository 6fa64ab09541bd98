"""Whether Triton compiles the fused kernels for real GPUs, which needs none: its interpreter forgives more."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("triton")

# In a process of its own: where there is no GPU, the tests' own has Triton interpret.
PROGRAM = """
import sys
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from snnhpo_mpi.snn.slayer.neurons import alif_triton
from snnhpo_mpi.snn.stdp.engines import triton_kernels

REALS = "v_e v_i y currents theta counts x_before x_after w current distance output grad_output grad".split()
POINTERS = dict.fromkeys(REALS, "*fp32") | dict.fromkeys(("excitatory", "inhibitory", "spikes"), "*u8")
POINTERS |= {"free_e": "*i32", "free_i": "*i32", "seed": "*i64"}
INTEGERS = "first n_steps n_samples m n n_parts n_blocks e_blocked i_blocked threshold threshold_step".split()

def check(kernel, architecture, **constants):
    types = dict.fromkeys(kernel.arg_names, "fp32") | dict.fromkeys(INTEGERS, "i32") | POINTERS
    types = {name: "constexpr" if name in constants else types[name] for name in kernel.arg_names}
    compile(ASTSource(kernel, types, constants), target=GPUTarget("cuda", architecture, 32))

architecture = int(sys.argv[1])
for learning in (True, False):
    for one_winner, by_distance in ((True, False), (False, True)):
        form = {"ONE_WINNER": one_winner, "BY_DISTANCE": by_distance}
        check(triton_kernels.neurons, architecture, LEARNING=learning, BLOCK=512, **form)
    check(triton_kernels.synapses, architecture, LEARNS=learning, ROWS=64, COLUMNS=32, SAMPLES=32)
check(alif_triton._forward, architecture, ONE=4096, BLOCK=128)
check(alif_triton._backward, architecture, BLOCK=128)
"""


@pytest.mark.parametrize("architecture", [80, 90])
def test_every_kernel_compiles(architecture: int, tmp_path: object) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment |= {"TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(architecture)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
