# SPDX-License-Identifier: BSD-3-Clause
"""Unmodified nginx and curl on weir, with the kernel on the other side."""
import functools
import http.client
import http.server
import os
import signal
import socket
import threading

from weirtest import KERNEL_ADDR, WEIR_ADDR, make_file, sha256, wait_until


def workers_of(pid):
    """The processes that pid forked."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return {int(p) for p in f.read().split()}


def master_of(weir):
    with open(os.path.join(weir.tmp, "nginx.pid"), encoding="ascii") as f:
        return int(f.read())


def get(path="/index.html"):
    connection = http.client.HTTPConnection(WEIR_ADDR, 80, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_page_and_big_file(weir):
    weir.nginx()
    digest = make_file(os.path.join(weir.www, "big.bin"), 64 << 20)
    page = weir.on_kernel("curl", "-sS", "-f", "-m", "20", f"http://{WEIR_ADDR}/index.html").done()
    assert page == "<p>a page of nginx on weir\n"
    out = os.path.join(weir.tmp, "big.out")
    weir.on_kernel("curl", "-sS", "-f", "-m", "60", "-o", out, f"http://{WEIR_ADDR}/big.bin").done()
    assert sha256(out) == digest
    assert weir.ledger()["delivered"] > 0


def test_big_file_without_sendfile(weir):
    weir.nginx(sendfile="off")
    digest = make_file(os.path.join(weir.www, "big.bin"), 16 << 20)
    out = os.path.join(weir.tmp, "big.out")
    weir.on_kernel("curl", "-sS", "-f", "-m", "60", "-o", out, f"http://{WEIR_ADDR}/big.bin").done()
    assert sha256(out) == digest


def test_many_requests_one_connection(weir):
    weir.nginx()
    connection = http.client.HTTPConnection(WEIR_ADDR, 80, timeout=10)
    for _ in range(200):
        connection.request("GET", "/index.html")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"<p>a page of nginx on weir\n")
    connection.close()


def test_many_connections(weir):
    weir.nginx()
    for _ in range(200):
        assert get()[0] == 200
    wait_until(lambda: sum(s["state"] == "ESTAB" for s in weir.sockets()) == 0,
               "connections are closed on weir's side too")


def test_workers_share_the_listener(weir):
    """Many connections at once, each kept open: every one is answered, whichever worker took it."""
    weir.nginx()
    connections = [http.client.HTTPConnection(WEIR_ADDR, 80, timeout=20) for _ in range(200)]
    for connection in connections:
        connection.request("GET", "/index.html")
    for connection in connections:
        assert connection.getresponse().read() == b"<p>a page of nginx on weir\n"
    for connection in connections:
        connection.close()


def test_reload_replaces_the_workers(weir):
    weir.nginx()
    master = master_of(weir)
    before = wait_until(lambda: len(workers_of(master)) == 2 and workers_of(master), "two workers")
    with open(os.path.join(weir.www, "new.html"), "w", encoding="utf-8") as f:
        f.write("new")
    os.kill(master, signal.SIGHUP)
    wait_until(lambda: len(workers_of(master) - before) == 2 and not workers_of(master) & before,
               "the old workers are gone and two new ones there")
    for _ in range(50):
        assert get("/new.html") == (200, b"new")


def test_killed_worker_is_replaced(weir):
    weir.nginx()
    master = master_of(weir)
    before = wait_until(lambda: len(workers_of(master)) == 2 and workers_of(master), "two workers")
    victim = sorted(before)[0]
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len(workers_of(master) - before) == 1, "a new worker took its place")
    for _ in range(50):
        assert get()[0] == 200


def test_listener_goes_with_nginx(weir):
    nginx = weir.nginx()
    assert any(s["state"] == "LISTEN" and s["local"].endswith(":80") for s in weir.sockets())
    assert nginx.end(signal.SIGQUIT) == 0
    wait_until(lambda: not any(s["state"] == "LISTEN" for s in weir.sockets()),
               "the listener is gone")
    try:
        socket.create_connection((WEIR_ADDR, 80), timeout=5).close()
        raise AssertionError("something still accepts")
    except ConnectionRefusedError:
        pass


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_curl_on_weir(weir):
    www = os.path.join(weir.tmp, "kernel-www")
    os.mkdir(www)
    digest = make_file(os.path.join(www, "big.bin"), 32 << 20)
    server = http.server.ThreadingHTTPServer((KERNEL_ADDR, 8080),
                                             functools.partial(Quiet, directory=www))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    out = os.path.join(weir.tmp, "out.bin")
    try:
        weir.on_weir("curl", "-sS", "-f", "-m", "60", "-o", out,
                     f"http://{KERNEL_ADDR}:8080/big.bin").done()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert sha256(out) == digest


def test_curl_on_weir_refused(weir):
    curl = weir.on_weir("curl", "-sS", "-m", "10", f"http://{KERNEL_ADDR}:8081/")
    assert curl.wait() == 7  # CURLE_COULDNT_CONNECT


def test_curl_on_weir_to_nginx_on_weir(weir):
    weir.nginx()
    for url in (f"http://{WEIR_ADDR}/", "http://127.0.0.1/"):
        assert "a page of nginx" in weir.on_weir("curl", "-sS", "-f", "-m", "20", url).done()
