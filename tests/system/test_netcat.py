# SPDX-License-Identifier: BSD-3-Clause
"""Small tools that put a socket onto something else: nc, socat, inetd, and rsync's daemon."""
import os
import subprocess

import pytest
from programs import certificate, write
from weirtest import KERNEL_ADDR, WEIR_ADDR, make_file, sha256, wait_until

SIDES = ["on_kernel", "on_weir"]
SIZE = 10 << 20


def pipe(on, command, source, out):
    """A program with its standard input and output in files."""
    return on("sh", "-c", f"exec {command} < {source} > {out}")


def wait_for_listener(weir, on_weir, port, proto="tcp"):
    if on_weir:
        weir.wait_for_socket(port, proto=proto)
        return
    wait_until(lambda: subprocess.run(["ss", "-Hln" + proto[0], f"sport = :{port}"], check=True,
                                      timeout=10, stdout=subprocess.PIPE).stdout,
               f"somebody has port {port}")


@pytest.fixture
def files(weir):
    big, out = os.path.join(weir.tmp, "big"), os.path.join(weir.tmp, "out")
    return big, make_file(big, SIZE), out


@pytest.mark.parametrize("listener", SIDES)
def test_nc(weir, files, listener):
    """One listens on weir, the other is on the kernel, and the other way round."""
    big, digest, out = files
    on_weir = listener == "on_weir"
    addr = WEIR_ADDR if on_weir else KERNEL_ADDR
    there, here = ((weir.on_weir, weir.on_kernel) if on_weir else (weir.on_kernel, weir.on_weir))
    server = pipe(there, f"nc -l -N {addr} 7000", "/dev/null", out)
    wait_for_listener(weir, on_weir, 7000)
    pipe(here, f"nc -N {addr} 7000", big, "/dev/null").done()
    server.done()
    assert sha256(out) == digest
    # Many connections one after the other; a port that nobody has.
    server = there("nc", "-l", "-k", addr, "7001")
    wait_for_listener(weir, on_weir, 7001)
    for _ in range(5):
        assert "succeeded" in here("nc", "-z", "-v", addr, "7001").done()
    refused = here("nc", "-z", "-v", addr, "7002")
    assert refused.wait() == 1 and "Connection refused" in refused.log()
    server.kill_all()


@pytest.mark.parametrize("listener", SIDES)
def test_nc_datagrams(weir, listener):
    on_weir = listener == "on_weir"
    addr = WEIR_ADDR if on_weir else KERNEL_ADDR
    there, here = ((weir.on_weir, weir.on_kernel) if on_weir else (weir.on_kernel, weir.on_weir))
    server = there("nc", "-u", "-l", addr, "7000")
    wait_for_listener(weir, on_weir, 7000, "udp")
    text = write(os.path.join(weir.tmp, "text"), "a datagram\n")
    pipe(here, f"nc -u -w 1 {addr} 7000", text, "/dev/null").done()
    wait_until(lambda: "a datagram\n" in server.log(), "it came")
    server.kill_all()


@pytest.mark.parametrize("side", SIDES)
def test_socat(weir, files, side):
    """A child for each connection, with another program's input and output; TLS; datagrams."""
    big, digest, out = files
    cert, _, both = certificate(weir.tmp)
    on = getattr(weir, side)
    for what, to in ((f"TCP-LISTEN:7000,bind={WEIR_ADDR},fork,reuseaddr", f"TCP:{WEIR_ADDR}:7000"),
                     (f"OPENSSL-LISTEN:7001,bind={WEIR_ADDR},fork,cert={both},verify=0",
                      f"OPENSSL:{WEIR_ADDR}:7001,cafile={cert}")):
        weir.on_weir("socat", what, "EXEC:cat")
        weir.wait_for_socket()
        wait_until(lambda to=to: pipe(on, f"socat -t 30 - {to}", big, out).wait() == 0,
                   "it listens")
        assert sha256(out) == digest
    weir.on_weir("socat", f"UDP-RECVFROM:7002,bind={WEIR_ADDR},fork", "EXEC:rev")
    weir.wait_for_socket(7002, proto="udp")
    text = write(os.path.join(weir.tmp, "text"), "abc\n")
    for _ in range(3):
        pipe(on, f"socat -t 3 - UDP:{WEIR_ADDR}:7002,readbytes=4", text, out).done()
        with open(out, encoding="ascii") as f:
            assert f.read() == "cba\n"


INETD = """{addr}:7007 stream tcp nowait root /bin/cat cat
{addr}:7009 stream tcp nowait root /usr/bin/sha256sum sha256sum
{addr}:echo stream tcp nowait root internal
{addr}:echo dgram udp wait root internal
"""


@pytest.mark.parametrize("side", SIDES)
def test_inetd(weir, files, side):
    """Programs that know nothing of sockets: the connection is their input and output."""
    big, digest, out = files
    on = getattr(weir, side)
    weir.on_weir("inetd", "-i", write(os.path.join(weir.tmp, "inetd.conf"),
                                      INETD.format(addr=WEIR_ADDR)))
    weir.wait_for_socket(7)
    for port in (7, 7007):
        pipe(on, f"nc -N {WEIR_ADDR} {port}", big, out).done()
        assert sha256(out) == digest
    pipe(on, f"nc -N {WEIR_ADDR} 7009", big, out).done()
    with open(out, encoding="ascii") as f:
        assert f.read() == f"{digest}  -\n"
    text = write(os.path.join(weir.tmp, "text"), "abc\n")
    pipe(on, f"nc -u -W 1 {WEIR_ADDR} 7", text, out).done()
    with open(out, encoding="ascii") as f:
        assert f.read() == "abc\n"


@pytest.mark.parametrize("side", SIDES)
def test_rsync(weir, files, side):
    big, digest, _ = files
    conf = write(os.path.join(weir.tmp, "rsyncd.conf"), f"""use chroot = no
uid = root
gid = root
address = {WEIR_ADDR}
port = 8730
[all]
path = {weir.tmp}
read only = no
""")
    weir.on_weir("rsync", "--daemon", "--no-detach", f"--config={conf}")
    weir.wait_for_socket(8730)
    on, url = getattr(weir, side), f"rsync://{WEIR_ADDR}:8730/all"
    on("rsync", "-c", f"{url}/big", os.path.join(weir.tmp, "got")).done()
    on("rsync", "-c", os.path.join(weir.tmp, "got"), f"{url}/back").done()
    assert sha256(os.path.join(weir.tmp, "back")) == digest == sha256(big)
