"""A disk whose power can be cut: what was not synced is lost.

Strategy: one process serves a FUSE file system from memory. Every file and directory has two
states, what programs see and what the platters hold; only a sync moves the one to the other. At
the cut, every further operation fails with EIO, and the backing directory receives what the
platters held. Mounting the backing directory again shows what a machine sees after power returns.

The rooms: `node` (one file or directory), `journal` (changes of names), `disk` (operations, syncs,
bounds), `faults` (the switches), `survival` (what a cut leaves), `backing` (to and from a real
directory): pure but for the last.
`operations` and `__main__` are a thin FUSE shell, `mount` is what tests use.

Two models of names. `journal` (default) is what ext4 and xfs do: changes of names are journaled
in order, and a sync of a file or directory makes durable every change of names up to the last one
that touched it; so a new file that was synced is found again, as is a rename of it. `strict` is
the least that POSIX grants: a name is durable only when its directory was synced, and a rename
between directories is two changes. In neither does a rename flush the file's contents, which ext4
does as a courtesy: a program that relies on it is caught.

Not here: block devices, quotas, access control, symbolic links, extended attributes.
"""

from tests.crash.powercut.mount import PowerCutDisk, why_unavailable

__all__ = ["PowerCutDisk", "why_unavailable"]
