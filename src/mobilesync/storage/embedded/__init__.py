"""The store on one machine's disk: RocksDB with group commit.

folder.py    the data folder: format version, kind, epochs, lock
keys.py      how names and ids become keys          rows.py   how values become bytes
tables.py    the open database: seven tables, ranges, batches
writer.py    the one thread that waits for the disk
group.py     what one commit makes durable
commit.py    group commit: what waits, what is in flight, who is told
heads.py     heads as they are durable               points.py  sync points and their journal
ids.py       ids given and message ids seen before they are durable
withdrawals.py  oplogs rewritten by others           documents.py  small values by kind and key
store.py     the Store itself                        opening.py opening a folder
trim.py      forgetting in slices                    backup.py  copies, and stores from copies
verify.py    reading a folder through, for `doctor`  wal.py     a torn tail or a damaged log
"""

from mobilesync.storage.embedded.backup import restore
from mobilesync.storage.embedded.opening import open_embedded
from mobilesync.storage.embedded.options import EmbeddedOptions
from mobilesync.storage.embedded.store import EmbeddedStore
from mobilesync.storage.embedded.verify import Inspection, verify

__all__ = ["EmbeddedOptions", "EmbeddedStore", "Inspection", "open_embedded", "restore", "verify"]
