# A cluster with modules, project folders and compute nodes without internet, such as IDRIS's Jean Zay. Names are examples:
# `module avail`, `idrenv` and your project's documentation have today's. Partition and account go to the sbatch file:
#     #SBATCH --account=abc@v100 --constraint=v100-32g --hint=nomultithread

module purge
module load pytorch-gpu/py3/2.8.0 openmpi/5.0.8-cuda   # brings python, torch for its GPUs, mpi4py's MPI
source "$WORK/snnhpo/venv/bin/activate"                # made with --system-site-packages on a login node
export SNNHPO_DATA=$DSDIR/snnhpo                       # the file system for data sets, read by all nodes
export TMPDIR=$JOBSCRATCH                              # removed by the cluster when the job ends
launcher=srun-pmix
