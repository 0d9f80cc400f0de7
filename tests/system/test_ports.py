# SPDX-License-Identifier: BSD-3-Clause
"""DPDK ports that need no hardware: af_packet and af_xdp on a veth pair with the kernel on the
other side, and memif between two instances. Whole files: checksums, segments of every size."""
import ctypes
import fcntl
import hashlib
import os
import socket
import struct
import subprocess

import pytest
from weirtest import KERNEL_ADDR, PYTHON, WEIR_ADDR

SIOCETHTOOL = 0x8946
ETHTOOL_STXCSUM = 0x17


def transmit_checksums_off(name):
    """A veth passes checksums on unfinished, which no wire would: `ethtool -K NAME tx off`."""
    value = ctypes.create_string_buffer(struct.pack("II", ETHTOOL_STXCSUM, 0))
    request = struct.pack("16sP16x", name.encode(), ctypes.addressof(value))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, SIOCETHTOOL, request)


def make_veth():
    for command in (["link", "add", "va", "type", "veth", "peer", "name", "vb"],
                    ["link", "set", "va", "up"], ["link", "set", "vb", "up"],
                    ["addr", "add", f"{KERNEL_ADDR}/24", "dev", "vb"]):
        subprocess.run(["ip", *command], check=True, timeout=10)


@pytest.fixture
def veth(net):
    make_veth()
    transmit_checksums_off("vb")


def make_file(folder, megabytes):
    data = os.urandom(megabytes << 20)
    with open(os.path.join(folder, "big"), "wb") as out:
        out.write(data)
    os.chmod(folder, 0o755)
    return hashlib.sha256(data).hexdigest()


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


@pytest.mark.parametrize("kind", ["af_packet", "af_xdp"])
def test_file_to_the_kernel(veth, make_weir, tmp_path, kind):
    weir = make_weir(ports=((f"{kind},iface=va", f"{WEIR_ADDR}/24"),))
    right = make_file(tmp_path, 10)
    # An AF_XDP port keeps buffers in its fill queue for as long as it is open.
    weir.pool_free = None
    server = weir.on_weir(PYTHON, "-m", "http.server", "8000", "--bind", WEIR_ADDR,
                          "--directory", str(tmp_path))
    weir.wait_for_port(8000, program=server)
    weir.on_kernel("curl", "-sS", "-m", "60", "-o", str(tmp_path / "got"),
                   f"http://{WEIR_ADDR}:8000/big").done()
    assert digest(tmp_path / "got") == right
    assert weir.drops("TCP_CSUM") == 0


def test_unfinished_checksums_are_named(net, make_weir):
    """Without `tx off` every TCP segment of the kernel's is wrong on this port: the ledger says
    that, and `curl` does not get through."""
    make_veth()
    weir = make_weir(ports=(("af_packet,iface=va", f"{WEIR_ADDR}/24"),))
    weir.on_kernel("curl", "-sS", "-m", "2", f"http://{WEIR_ADDR}:8000/").wait()
    assert weir.drops("TCP_CSUM") > 0


def test_memif_between_two_instances(make_weir, tmp_path):
    """Two weirs joined by shared memory, no kernel between them."""
    path = str(tmp_path / "memif.sock")
    left = make_weir(instance="left",
                     ports=((f"memif,role=server,socket={path}", "198.18.1.1/24"),))
    right = make_weir(instance="right",
                      ports=((f"memif,role=client,socket={path}", "198.18.1.2/24"),))
    os.chmod(tmp_path, 0o755)
    sha = make_file(tmp_path, 10)
    left.pool_free = right.pool_free = None  # the rings keep theirs
    left.on_weir(PYTHON, "-m", "http.server", "8000", "--bind", "198.18.1.1",
                 "--directory", str(tmp_path))
    left.wait_for_socket(8000)
    right.on_weir("curl", "-sS", "-m", "60", "--retry", "5", "--retry-connrefused",
                  "-o", str(tmp_path / "got"), "http://198.18.1.1:8000/big").done()
    assert digest(tmp_path / "got") == sha
