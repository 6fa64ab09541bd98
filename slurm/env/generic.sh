# Any cluster: the virtual environment beside this repository, and the mpiexec of the MPI library found in it.
# Copy this file to env/mycluster.sh, edit, and submit with SNNHPO_CLUSTER=mycluster.

# module load python openmpi                        # the names of your cluster; none for the MPI of `pip install mpich`
for venv in venv .venv; do
  [[ -f $venv/bin/activate ]] && source "$venv/bin/activate" && break
done
export SNNHPO_DATA=${SNNHPO_DATA:-$PWD/data}        # data sets, downloaded on a login node

# launcher: mpiexec of that library, or srun-TYPE for srun --mpi=TYPE (srun --mpi=list shows the types).
launcher=mpiexec                                    # not srun-pmi2 for MPICH 5.0: its starts under Slurm's PMI fail now and then
