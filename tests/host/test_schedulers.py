import time

from snnhpo_mpi.host import schedulers


def test_rank_0_leaves_its_exit_code_where_the_batch_script_looks(tmp_path, caplog) -> None:
    schedulers.leave_exit_code(75, {"SNNHPO_EXIT_FILE": str(tmp_path / "code")})
    assert (tmp_path / "code").read_text() == "75\n"
    schedulers.leave_exit_code(None, {"SNNHPO_EXIT_FILE": str(tmp_path / "code")})
    assert (tmp_path / "code").read_text() == "running\n"
    schedulers.leave_exit_code(75, {})
    schedulers.leave_exit_code(75, {"SNNHPO_EXIT_FILE": str(tmp_path / "gone" / "code")})
    assert "go by the launcher's exit code" in caplog.text


def test_slurm_end_time_gives_the_seconds_left() -> None:
    left = schedulers.seconds_left({"SLURM_JOB_END_TIME": str(int(time.time()) + 600)})
    assert left is not None
    assert 590 < left <= 600


def test_without_slurm_nobody_knows_the_end() -> None:
    assert schedulers.seconds_left({}) is None
    assert schedulers.seconds_left({"SLURM_JOB_ID": "not-a-job"}) is None


def test_the_clock_of_a_job_takes_the_nearer_end() -> None:
    slurm = {"SLURM_JOB_END_TIME": str(int(time.time()) + 600)}
    assert 0 < (schedulers.job_clock(30.0, slurm)() or 0) <= 30
    assert 500 < (schedulers.job_clock(3000.0, slurm)() or 0) <= 600
    assert schedulers.job_clock(None, {})() is None
