# Sourced by the batch scripts, after an env file: places the ranks, starts them, passes signals on, requeues the job.
# From the env file: launcher (mpiexec or srun-TYPE), n_ranks outside Slurm. From the batch script: max_requeues, and
# n_free, the tasks of each node but the first that stay free (1 if it is not set: the place that rank 0 has on the first).

say() { echo "$(date '+%F %T') job ${SLURM_JOB_ID:-here}: $*"; }

# A line a rank, in order: rank 0 and the workers of the first node, then the workers of the others.
hosts_of_ranks() {
  local node i free=0
  for node in $(scontrol show hostnames "$SLURM_JOB_NODELIST"); do
    for ((i = free; i < SLURM_NTASKS_PER_NODE; i++)); do echo "$node"; done
    free=${n_free:-1}
  done
}

# The launch line. Its flags keep the other ranks going when one is killed, as far as the MPI can.
launch() {
  local flags=() hosts=$scratch/hosts
  if [[ -n ${SLURM_JOB_ID:-} ]]; then
    hosts_of_ranks > "$hosts"
    n_ranks=$(wc -l < "$hosts")
    [[ $launcher == mpiexec ]] || export SLURM_HOSTFILE=$hosts
    unset SLURM_NTASKS_PER_NODE SLURM_DISTRIBUTION  # they would contradict the list of hosts
  fi
  case $launcher in
    srun-*)
      # MPICH's starts through Slurm's PMI fail now and then; fewer do where it shares no memory within a node.
      export MPIR_CVAR_NOLOCAL=1
      exec srun --mpi="${launcher#srun-}" --ntasks="$n_ranks" --distribution=arbitrary \
        --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" --kill-on-bad-exit=0 "$@" ;;
    mpiexec)
      case $(mpiexec --version 2>&1) in
        *OpenRTE* | *"Open MPI) 4."*) flags=(--bind-to none --enable-recovery) ;;
        *"Open MPI"*) flags=(--bind-to none --enable-recovery --with-ft ulfm) ;;
      esac
      if [[ -s $hosts && ${#flags[@]} -gt 0 ]]; then
        uniq -c "$hosts" | awk '{print $2, "slots=" $1}' > "$hosts.slots"
        flags+=(--hostfile "$hosts.slots")
      elif [[ -s $hosts ]]; then  # MPICH, Intel MPI
        uniq -c "$hosts" | awk '{print $2 ":" $1}' > "$hosts.slots"
        flags+=(-f "$hosts.slots")
      fi
      exec mpiexec "${flags[@]}" -n "$n_ranks" "$@" ;;
    *) say "launcher=$launcher is not known: mpiexec or srun-TYPE"; exit 2 ;;
  esac
}

# When the job ends [Unix s]; Slurm before 23.02 does not say it to jobs.
find_end() {
  local end
  [[ -n ${SLURM_JOB_ID:-} && -z ${SLURM_JOB_END_TIME:-} ]] || return 0
  end=$(squeue -h -j "$SLURM_JOB_ID" -o %e | head -1)
  [[ $end == *T* ]] && SLURM_JOB_END_TIME=$(date -d "$end" +%s) && export SLURM_JOB_END_TIME
}

# Slurm's warning before the end. Rank 0 knows the end by itself and stops in time; it is told only if it cannot know.
on_warning() {
  trapped=1
  local left=$((${SLURM_JOB_END_TIME:-0} - $(date +%s)))
  if ((0 < left && left < 800)); then
    say "the job ends in $left s: the search stops in time by itself"
  else
    say "told to stop: running trials may finish, then the job is put back into the queue"
    kill -USR1 $!
  fi
}

# Slurm ends the job: somebody cancelled it, or the search did not stop within its time.
on_end() {
  trapped=1
  if (($(date +%s) > ${SLURM_JOB_END_TIME:-9999999999} - 30)); then
    overtime=1
    say "the time is over: the search stops"
  else
    cancelled=1
    say "cancelled: the search stops"
  fi
  kill -USR1 $!  # which launchers pass on; they end the ranks at once at a SIGTERM
}

# Run a command on all ranks to its end; what becomes of the job then.
run_in_job() {
  local requeues=${SLURM_RESTART_COUNT:-0} code status
  cancelled=0 overtime=0
  # What a launcher exits with may be the code of a rank that was killed: rank 0 writes its own here, in a shared folder.
  export SNNHPO_EXIT_FILE=$PWD/.exit_code-${SLURM_JOB_ID:-$$}
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch" "$SNNHPO_EXIT_FILE"' EXIT
  rm -f "$SNNHPO_EXIT_FILE"
  find_end
  say "start $((requeues + 1)) of at most $((max_requeues + 1)) on ${SLURM_JOB_NODELIST:-this machine}, $launcher: $*"
  trap on_warning USR1
  trap on_end TERM INT
  launch "$@" &
  while trapped=0; wait $!; status=$?; ((trapped)); do :; done  # a signal that is trapped ends wait early
  trap - TERM INT USR1
  if [[ -n ${SLURM_JOB_ID:-} && $overtime == 0 ]]; then  # not every Slurm signals the script when the job is cancelled
    [[ $(squeue -h -j "$SLURM_JOB_ID" -o %T | head -1) == RUNNING ]] || cancelled=1
  fi
  code=$(cat "$SNNHPO_EXIT_FILE" 2>/dev/null) || code=$status  # no file: no search began
  [[ $code != running ]] || code=$((status ? status : 75))     # rank 0 could not say it: then a launcher's 0 is no end
  ((cancelled + overtime == 0 || code == 0)) || code=75
  ((status == 0 || status == code)) || say "the launcher ended with $status: a rank or a node was lost"
  case $code in
    0) say "complete" ;;
    [123]) say "failed with exit code $code: the reason is above" ;;
    *) requeue "$code" "$requeues" ;;
  esac
  exit "$code"
}

# Put the job back into the queue, where it resumes the study.
requeue() {
  if [[ -z ${SLURM_JOB_ID:-} ]]; then
    say "not finished (exit code $1): the same command goes on"
  elif ((cancelled)); then
    say "not finished (exit code $1), cancelled: submit it again to go on"
  elif (($2 >= max_requeues)); then
    say "not finished (exit code $1), and requeued $2 times already: submit it again to go on"
  else  # said first: a requeue ends this script, sometimes before the next line
    say "not finished (exit code $1): requeued, $((max_requeues - $2 - 1)) more times possible"
    if scontrol requeue "$SLURM_JOB_ID"; then
      sleep 300
    else
      say "not finished (exit code $1), and Slurm refused to requeue: submit it again to go on"
    fi
  fi
}
