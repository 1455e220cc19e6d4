"""What most tests of transports need."""

import pytest

from mobilesync.transports.certificates import CertificateFiles
from tests.transports.door import certificate


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    """A certificate for localhost, with its key."""
    return certificate(tmp_path_factory.mktemp("tls"))
