# SPDX-License-Identifier: BSD-3-Clause
"""sshd on weir: it forks, executes itself again with the connection, and its child before the login
locks itself in (no descriptors, a seccomp filter). Clients on the kernel and on weir."""
import os
import subprocess

import pytest
from programs import write
from weirtest import WEIR_ADDR, make_file, sha256

SSHD = "/usr/sbin/sshd"
CONF = """Port 2222
ListenAddress {addr}
HostKey {tmp}/host
PidFile {tmp}/sshd.pid
AuthorizedKeysFile {tmp}/user.pub
StrictModes no
UsePAM no
PermitRootLogin yes
Subsystem sftp internal-sftp
"""
OPTIONS = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
           "-o", "LogLevel=ERROR", "-o", "BatchMode=yes", "-F", "none"]


@pytest.fixture
def sshd(weir):
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                        os.path.join(weir.tmp, name)], check=True, timeout=20)
    os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    conf = write(os.path.join(weir.tmp, "sshd.conf"), CONF.format(addr=WEIR_ADDR, tmp=weir.tmp))
    program = weir.on_weir(SSHD, "-D", "-e", "-f", conf)
    weir.wait_for_socket(2222)
    weir.key = ["-i", os.path.join(weir.tmp, "user")]
    return program


@pytest.mark.parametrize("side", ["on_kernel", "on_weir"])
def test_command_and_copy(weir, sshd, side):
    on = getattr(weir, side)
    login = ["ssh", *weir.key, *OPTIONS, "-p", "2222", f"root@{WEIR_ADDR}"]
    out = on(*login, "echo said; id -u; echo $SSH_CONNECTION; exit 3")
    assert out.wait() == 3
    lines = out.log().splitlines()
    assert lines[:2] == ["said", "0"] and lines[2].endswith(f" {WEIR_ADDR} 2222"), lines
    big, there, back = (os.path.join(weir.tmp, n) for n in ("big", "there", "back"))
    digest = make_file(big, 10 << 20)
    scp = ["scp", "-q", *weir.key, *OPTIONS, "-P", "2222"]
    on(*scp, big, f"root@{WEIR_ADDR}:{there}").done()
    assert sha256(there) == digest
    on(*scp, f"root@{WEIR_ADDR}:{there}", back).done()
    assert sha256(back) == digest
    assert "Accepted publickey for root" in sshd.log()
    assert "fatal" not in sshd.log() and "SIGSYS" not in sshd.log(), sshd.log()


def test_port_forwarding(weir, sshd):
    """-L: the client listens (on weir's loopback), the server connects."""
    weir.nginx()
    weir.on_weir("ssh", *weir.key, *OPTIONS, "-p", "2222", "-N", "-L", "127.0.0.1:7777:"
                 f"{WEIR_ADDR}:80", f"root@{WEIR_ADDR}")
    weir.wait_for_socket(7777)
    for _ in range(3):
        assert "a page of nginx" in weir.on_weir("curl", "-sS", "-f", "-m", "20",
                                                 "http://127.0.0.1:7777/").done()


def test_wrong_key(weir, sshd):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                    os.path.join(weir.tmp, "other")], check=True, timeout=20)
    ssh = weir.on_kernel("ssh", "-i", os.path.join(weir.tmp, "other"), *OPTIONS, "-o",
                         "IdentitiesOnly=yes", "-p", "2222", f"root@{WEIR_ADDR}", "true")
    assert ssh.wait() == 255
    assert "Permission denied" in ssh.log()
