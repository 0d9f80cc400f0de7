# SPDX-License-Identifier: BSD-3-Clause
"""dnsmasq on weir, asked by dig from both sides, in datagrams and over TCP."""
import pytest
from weirtest import WEIR_ADDR


@pytest.mark.parametrize("how", [["+notcp"], ["+tcp"]], ids=["udp", "tcp"])
def test_dnsmasq_and_dig(weir, how):
    server = weir.on_weir("dnsmasq", "-k", "-C", "/dev/null", "--no-resolv", "--no-hosts",
                          f"--listen-address={WEIR_ADDR}", "--bind-interfaces", "--port=53",
                          "--user=root", "--address=/weir.test/198.18.0.77",
                          "--txt-record=large.test," + ",".join(["x" * 200] * 8))
    weir.wait_for_socket(53, proto="udp")
    for on in (weir.on_kernel, weir.on_weir):
        ask = ("dig", "+short", "+time=5", *how, f"@{WEIR_ADDR}")
        assert on(*ask, "a.weir.test").done() == "198.18.0.77\n"
        # Too large for a datagram: it is truncated, and asked again over TCP.
        large = on(*ask, "+bufsize=512", "TXT", "large.test").done()
        assert large.count("x" * 200) == 8, large
    assert server.running(), server.log()
