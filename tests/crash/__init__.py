"""What Mobilesync promises when the machine is taken away in the middle: real kills, real cuts.

powercut/            a disk whose power can be cut
numbers_writer.py    a program that relies on it
server_process.py    `mobilesync serve`, to be killed
business.py          business servers, which publish and try again
phone.py, phones.py  real SDK devices in a process that is killed too
recorded_store.py    the SDK's store, which keeps its own history and dies at chosen moments
chronicle.py         the histories of all processes as one
campaign.py          one run of everything, and the verdict of the simulator's checkers

The tests: test_kills, test_power_cuts, test_broken_disks, test_live_restore; test_powercut_* are
about the disk itself. What takes minutes is marked `soak`: MOBILESYNC_CRASH_ROUNDS says how many
rounds, MOBILESYNC_CRASH_SEED which load and which moments.
"""
