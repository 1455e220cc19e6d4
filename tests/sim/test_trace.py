"""Same lines, same hash; and only so many are kept."""

from mobilesync.sim.trace import Trace


def test_the_hash_tells_runs_apart() -> None:
    one, two, three = Trace(), Trace(), Trace()
    for trace, what in ((one, "a"), (two, "a"), (three, "b")):
        trace.add(1.0, "who", what)
    assert one.hash() == two.hash() != three.hash()


def test_only_the_last_lines_are_kept_but_all_count() -> None:
    short, long = Trace(lines_max=2), Trace(lines_max=100)
    for number in range(10):
        for trace in (short, long):
            trace.add(number, "who", str(number))
    assert [line.split()[-1] for line in short.tail()] == ["8", "9"]
    assert short.count == 10
    assert short.hash() == long.hash()
