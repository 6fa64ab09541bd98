from snnhpo_mpi.comm.pause import Pause


def test_pauses_grow_to_the_longest_and_start_again_after_something_happened():
    pause = Pause(longest_s=0.5, shortest_s=0.1, growth=2.0)
    assert [pause.after(False) for _ in range(5)] == [0.1, 0.2, 0.4, 0.5, 0.5]
    assert pause.after(True) == 0.0
    assert pause.after(False) == 0.1
