# SPDX-License-Identifier: BSD-3-Clause
"""OpenSSL's own server and client over weir, and mosquitto with and without TLS. None of them may
think that the socket does TLS in the kernel (TCP_ULP is refused)."""
import os

import pytest
from programs import certificate, write
from weirtest import KERNEL_ADDR, WEIR_ADDR, make_file, sha256, wait_until

SIDES = ["on_kernel", "on_weir"]


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("side", SIDES)
def test_big_file(weir, side, version):
    cert, key, _ = certificate(weir.tmp)
    digest = make_file(os.path.join(weir.tmp, "big"), 10 << 20)
    server = weir.on_weir("sh", "-c", f"cd {weir.tmp} && exec openssl s_server -accept "
                          f"{WEIR_ADDR}:4433 -cert {cert} -key {key} -HTTP -naccept 1")
    weir.wait_for_socket(4433)
    request = write(os.path.join(weir.tmp, "request"), "GET /big HTTP/1.0\r\n\r\n")
    out = os.path.join(weir.tmp, "out")
    # -ign_eof: it goes on until the server closes.
    getattr(weir, side)("sh", "-c", f"openssl s_client -connect {WEIR_ADDR}:4433 -CAfile {cert} "
                        f"-verify_return_error -quiet -ign_eof {version} < {request} > {out}"
                        ).done()
    server.done(20)
    assert sha256(out) == digest


@pytest.mark.parametrize("side", SIDES)
def test_sessions_are_resumed(weir, side):
    """-reconnect: five more connections, with the first one's session; -www says what it got."""
    cert, key, _ = certificate(weir.tmp)
    weir.on_weir("openssl", "s_server", "-accept", f"{WEIR_ADDR}:4433", "-cert", cert, "-key", key,
                 "-www")
    weir.wait_for_socket(4433)
    out = getattr(weir, side)("openssl", "s_client", "-connect", f"{WEIR_ADDR}:4433", "-CAfile",
                              cert, "-verify_return_error", "-tls1_2", "-reconnect").done()
    assert out.count("\nNew, TLSv1.2") == 1 and out.count("\nReused, TLSv1.2") == 5, out


@pytest.mark.parametrize("command", ["k", "K", "R"], ids=["key", "keys", "renegotiation"])
def test_new_keys(weir, command):
    """A line, new keys (TLS 1.3's key update, one side's or both; 1.2's renegotiation), a line."""
    cert, key, _ = certificate(weir.tmp)
    version = "-tls1_2" if command == "R" else "-tls1_3"
    server = weir.on_weir("openssl", "s_server", "-accept", f"{WEIR_ADDR}:4433", "-cert", cert,
                          "-key", key, "-rev", "-client_renegotiation", version)
    weir.wait_for_socket(4433)
    reads, writes = os.pipe()
    log = os.path.join(weir.tmp, "client")
    client = weir.on_weir("sh", "-c", f"exec openssl s_client -connect {WEIR_ADDR}:4433 -CAfile "
                          f"{cert} {version} < /proc/{os.getpid()}/fd/{reads} > {log} 2>&1")

    def said():
        with open(log, encoding="utf-8", errors="replace") as f:
            return f.read()

    wait_until(lambda: os.path.exists(log) and "Verify return code: 0" in said(), "a handshake")
    for line, answer in (("before", "erofeb"), (command, None), ("behind", "dniheb")):
        os.write(writes, line.encode() + b"\n")
        if answer:
            wait_until(lambda answer=answer: answer in said(), f"the answer {answer}")
        else:
            word = "RENEGOTIATING" if command == "R" else "KEYUPDATE"
            wait_until(lambda word=word: word in said(), word)
    os.write(writes, b"Q\n")
    client.done()
    os.close(reads)
    os.close(writes)
    server.kill_all()


MOSQUITTO = """listener 1883 {addr}
allow_anonymous true
listener 8883 {addr}
certfile {cert}
keyfile {key}
"""


@pytest.fixture
def mosquitto(weir):
    weir.cert, key, _ = certificate(weir.tmp)
    conf = write(os.path.join(weir.tmp, "mosquitto.conf"),
                 MOSQUITTO.format(addr=WEIR_ADDR, cert=weir.cert, key=key) + "user root\n")
    server = weir.on_weir("mosquitto", "-v", "-c", conf)
    weir.wait_for_socket(8883)
    return server


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("side", SIDES)
def test_mosquitto(weir, mosquitto, side, tls):
    on = getattr(weir, side)
    more = ["-h", WEIR_ADDR] + (["-p", "8883", "--cafile", weir.cert] if tls else [])
    for qos in ("0", "1", "2"):
        sub = on("mosquitto_sub", *more, "-t", f"t/{qos}", "-q", qos, "-C", "3")
        wait_until(lambda qos=qos: f"t/{qos} (QoS {qos})" in mosquitto.log(), "it is subscribed")
        for i in range(3):
            on("mosquitto_pub", *more, "-t", f"t/{qos}", "-q", qos, "-m", f"message {i}").done()
        assert sub.done().splitlines() == [f"message {i}" for i in range(3)]
    on("mosquitto_pub", *more, "-t", "kept", "-r", "-m", "for later").done()
    assert on("mosquitto_sub", *more, "-t", "kept", "-C", "1").done() == "for later\n"


def test_mosquitto_hundred_subscribers(weir, mosquitto):
    subs = [weir.on_kernel("mosquitto_sub", "-h", WEIR_ADDR, "-t", "all", "-C", "1")
            for _ in range(100)]
    wait_until(lambda: mosquitto.log().count("all (QoS 0)") == 100, "all are subscribed", 40)
    weir.on_weir("mosquitto_pub", "-h", WEIR_ADDR, "-t", "all", "-m", "x" * 10000).done()
    for sub in subs:
        assert sub.done() == "x" * 10000 + "\n"


def test_stunnel(weir):
    """TLS to a plain server, and from a plain client to TLS: both ends in one stunnel on weir, the
    client's server on the kernel."""
    cert, _, both = certificate(weir.tmp)
    weir.nginx()
    digest = make_file(os.path.join(weir.www, "big.bin"), 10 << 20)
    conf = write(os.path.join(weir.tmp, "stunnel.conf"), f"""foreground = yes
pid =
[server]
accept = {WEIR_ADDR}:4433
connect = {WEIR_ADDR}:80
cert = {both}
[client]
client = yes
accept = {WEIR_ADDR}:8080
connect = {KERNEL_ADDR}:4433
CAfile = {cert}
verifyChain = yes
""")
    weir.on_weir("stunnel4", conf)
    weir.wait_for_socket(8080)
    weir.on_kernel("sh", "-c", f"cd {weir.www} && exec openssl s_server -accept {KERNEL_ADDR}:4433 "
                   f"-cert {both} -WWW")
    weir.wait_for_port(4433, addr=KERNEL_ADDR)
    out = os.path.join(weir.tmp, "out")
    for on in (weir.on_kernel, weir.on_weir):
        for url in (f"https://{WEIR_ADDR}:4433/big.bin", f"http://{WEIR_ADDR}:8080/big.bin"):
            on("curl", "-sS", "-f", "-m", "60", "-o", out, "--cacert", cert, url).done()
            assert sha256(out) == digest
