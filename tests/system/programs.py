# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of real programs share: a certificate, the end of what made itself a daemon, and
where Debian keeps things."""
import contextlib
import os
import re
import signal
import subprocess

from weirtest import KERNEL_ADDR, WEIR_ADDR, wait_until


def certificate(folder):
    """A self-signed certificate for both sides' addresses: (certificate, key, both in one)."""
    cert, key, both = (os.path.join(folder, n) for n in ("cert.pem", "key.pem", "both.pem"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert,
                    "-days", "30", "-subj", "/CN=weir.test", "-addext",
                    f"subjectAltName=DNS:weir.test,IP:{WEIR_ADDR},IP:{KERNEL_ADDR}"],
                   check=True, timeout=30, stderr=subprocess.DEVNULL)
    write(both, read(cert) + read(key))
    for path in (cert, key, both):
        os.chmod(path, 0o644)
    return cert, key, both


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def pid_in(path):
    """The process id that a program has written to its pid file, or None."""
    with contextlib.suppress(OSError, ValueError):
        return int(read(path).split()[0])
    return None


def alive(pid):
    with contextlib.suppress(OSError):
        return read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()[0] != "Z"
    return False


def children_of(pid):
    with contextlib.suppress(OSError):
        return {int(p) for p in read(f"/proc/{pid}/task/{pid}/children").split()}
    return set()


@contextlib.contextmanager
def daemons(*pid_files):
    """Whoever is named in one of the files when the block is left is ended, by its process id."""
    seen = set()
    try:
        yield seen
    finally:
        seen.update(p for p in map(pid_in, pid_files) if p)
        for pid in seen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        for pid in seen:
            wait_until(lambda pid=pid: not alive(pid), f"process {pid} has ended")


def figure(pattern, text):
    """The number that the pattern's group finds."""
    found = re.search(pattern, text)
    assert found, f"no {pattern} in\n{text}"
    return float(found.group(1))
