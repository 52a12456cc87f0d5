"""An S3-compatible server on loopback, reached over real HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

BUCKET = "twofold"
START_S = 30.0


def environment(url: str) -> dict[str, str]:
    """What leads an S3 client to the server at `url`."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "a-key",
        "AWS_SECRET_ACCESS_KEY": "a-secret",
        "AWS_REGION": "us-east-1",
    }


@contextmanager
def s3_endpoint() -> Iterator[str]:
    """Its URL, with one empty bucket."""
    from moto.server import ThreadedMotoServer  # here, because it takes two seconds

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        httpx.put(f"{url}/{BUCKET}", timeout=START_S).raise_for_status()
        yield url
    finally:
        server.stop()
