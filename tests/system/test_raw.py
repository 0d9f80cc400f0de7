# SPDX-License-Identifier: BSD-3-Clause
"""Below the transports: the interface list, raw and packet sockets, C programs and real ones."""
import os
import subprocess

import pytest
import weirtest
from weirtest import WEIR_ADDR

HERE = os.path.dirname(os.path.abspath(__file__))


def compile_case(name, folder):
    path = os.path.join(folder, f"shim_{name}")
    subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Werror", "-o", path,
                    os.path.join(HERE, f"shim_{name}.c"), "-lpthread"], check=True, timeout=60)
    return path


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("raw"))
    os.chmod(folder, 0o755)
    return {name: compile_case(name, folder) for name in ("netif",)}


def test_interface_list(make_weir, cases):
    """getifaddrs, if_*, SIOCGIF* on weir say what Linux would say of such interfaces."""
    weir = make_weir(ports=((weirtest.TAP, f"{WEIR_ADDR}/24", "198.18.7.6/30"),))
    text = weir.on_weir(cases["netif"]).done(20)
    mac = weir.stat()["ports"][1]["mac"]
    none = "00:00:00:00:00:00"
    assert text.splitlines() == [
        f"link 1 lo flags 10049 type 772 mac {none} broadcast {none} data 1",
        f"link 2 weir0 flags 11043 type 1 mac {mac} broadcast ff:ff:ff:ff:ff:ff data 1",
        "addr lo 127.0.0.1 mask 255.0.0.0 broadcast 127.0.0.1",
        f"addr weir0 {WEIR_ADDR} mask 255.255.255.0 broadcast 198.18.0.255",
        "addr weir0 198.18.7.6 mask 255.255.255.252 broadcast 198.18.7.7",
        "nameindex 1 lo", "nameindex 2 weir0",
        "name 1 lo", "name 2 weir0", "name 3: No such device or address",
        "index lo 1", "index weir0 2", "index weir9: No such device",
        f"conf 80 of 120: lo 127.0.0.1 weir0 {WEIR_ADDR}",
        "ifreq lo addr 127.0.0.1 mask 255.0.0.0 broadcast 0.0.0.0 mtu 65535 txqlen 1000 flags 49 "
        f"type 772 mac {none} metric 0 index 1 name lo link 1",
        f"ifreq weir0 addr {WEIR_ADDR} mask 255.255.255.0 broadcast 198.18.0.255 mtu 1500 "
        f"txqlen 1000 flags 1043 type 1 mac {mac} metric 0 index 2 name weir0 link 1",
        "ifreq weir9: No such device"]
