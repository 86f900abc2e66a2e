import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.workers.processes import CeleryHost, FrameworkHost, Host, Redis, is_listening

REDIS_URL = os.environ.get("REDIS_URL") or "redis://127.0.0.1:6379/0"


@pytest.fixture
def prefix() -> Iterator[str]:
    """What all keys in the common Redis begin with; they are gone afterwards."""
    assert is_listening(REDIS_URL), f"No Redis at {REDIS_URL}: start one, or say in REDIS_URL where it is"
    prefix = f"paiementpro-{uuid.uuid4().hex}:"
    yield prefix
    with redis.Redis.from_url(REDIS_URL) as client:
        for key in client.scan_iter(f"{prefix}*"):
            client.delete(key)


@pytest.fixture
def celery_host(transactional_db: None, tmp_path: Path, prefix: str) -> Iterator[CeleryHost]:
    """A host on the common Redis."""
    host = CeleryHost(tmp_path, REDIS_URL, CELERY_BROKER_TRANSPORT_OPTIONS={"global_keyprefix": prefix})
    yield host
    host.kill_all()


@pytest.fixture
def framework_host(transactional_db: None, tmp_path: Path) -> Iterator[FrameworkHost]:
    host = FrameworkHost(tmp_path)
    yield host
    host.kill_all()


@pytest.fixture(params=["celery", "framework"])
def host(request: pytest.FixtureRequest) -> Host:
    found: Host = request.getfixturevalue(f"{request.param}_host")
    return found


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Redis]:
    server = Redis(tmp_path)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def own_redis_host(transactional_db: None, tmp_path: Path, own_redis: Redis) -> Iterator[CeleryHost]:
    """A host whose broker is the test's."""
    host = CeleryHost(tmp_path, own_redis.url)
    yield host
    host.kill_all()


@pytest.fixture
def broker(prefix: str) -> Iterator[Any]:
    with redis.Redis.from_url(REDIS_URL) as client:
        yield client
