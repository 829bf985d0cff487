from pathlib import Path

import pytest
from sqlalchemy.orm import Session, sessionmaker

from tests.support.desk import Desk


@pytest.fixture
def desk(sessions: sessionmaker[Session], tmp_path: Path) -> Desk:
    return Desk(sessions, tmp_path)
