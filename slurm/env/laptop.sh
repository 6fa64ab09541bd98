# One machine without Slurm:     SNNHPO_CLUSTER=laptop bash slurm/search.sbatch configs/quickstart.yaml
# The same as mpiexec -n RANKS snnhpo run ..., rank 0 included: a workstation with 8 GPUs takes SNNHPO_RANKS=9.

for venv in venv .venv; do
  [[ -f $venv/bin/activate ]] && source "$venv/bin/activate" && break
done
export SNNHPO_DATA=${SNNHPO_DATA:-$PWD/data}
n_ranks=${SNNHPO_RANKS:-3}
launcher=mpiexec
