# SPDX-License-Identifier: BSD-3-Clause
"""nginx's own tricks, unmodified: it replaces its workers and its own binary while requests come in
(each one on a connection of its own: not one may fail), proxies, speaks TLS."""
import os
import signal

import pytest
from programs import certificate, children_of, daemons, figure, pid_in, read, write
from weirtest import KERNEL_ADDR, WEIR_ADDR, make_file, sha256, wait_until

NGINX = "/usr/sbin/nginx"  # it executes its own argv[0] again
CONF = """daemon {daemon};
worker_processes {workers};
pid {tmp}/nginx.pid;
error_log {tmp}/nginx-error.log info;
events {{ }}
http {{
    access_log {tmp}/access.log;
    sendfile on;
    client_body_temp_path {tmp}/t1;
    proxy_temp_path {tmp}/t2;
    fastcgi_temp_path {tmp}/t3;
    uwsgi_temp_path {tmp}/t4;
    scgi_temp_path {tmp}/t5;
    server {{
        listen 80;
        listen 81 reuseport;
        {more}
        root {tmp}/www;
    }}
}}
"""
PAGE = "a page of nginx on weir\n"


def start(weir, daemon="off", workers=2, more=""):
    www = os.path.join(weir.tmp, "www")
    os.makedirs(www, exist_ok=True)
    write(os.path.join(www, "index.html"), PAGE)
    conf = write(os.path.join(weir.tmp, "nginx.conf"),
                 CONF.format(tmp=weir.tmp, daemon=daemon, workers=workers, more=more))
    program = weir.on_weir(NGINX, "-p", weir.tmp, "-c", conf)
    if daemon == "on":
        program.done()
    weir.wait_for_port(80)
    return wait_until(lambda: pid_in(os.path.join(weir.tmp, "nginx.pid")), "nginx's pid file")


def load(weir, port, requests):
    """ab gives up at the first error of a connection."""
    return weir.on_kernel("ab", "-q", "-n", str(requests), "-c", "16",
                          f"http://{WEIR_ADDR}:{port}/")


def check_load(weir, ab, port, requests):
    out = ab.done(60)
    assert figure(r"Complete requests:\s+(\d+)", out) == requests
    assert figure(r"Failed requests:\s+(\d+)", out) == 0
    assert "Non-2xx" not in out
    assert read(os.path.join(weir.tmp, "access.log")).count('"GET / HTTP/1.0" 200') >= requests
    errors = read(os.path.join(weir.tmp, "nginx-error.log"))
    assert "[alert]" not in errors and "[emerg]" not in errors, errors


@pytest.mark.parametrize("port", [80, 81], ids=["shared", "reuseport"])
def test_reload_under_load(weir, port):
    master = start(weir)
    ab = load(weir, port, 3000)
    for _ in range(4):
        before = wait_until(lambda: children_of(master), "workers")
        os.kill(master, signal.SIGHUP)
        wait_until(lambda: len(children_of(master) - before) == 2, "two new workers", 30)
    check_load(weir, ab, port, 3000)


def test_binary_upgrade_under_load(weir):
    """A new master is executed with the listeners (USR2), the old one's workers go (WINCH), and it
    itself (QUIT)."""
    pid_file = os.path.join(weir.tmp, "nginx.pid")
    with daemons(pid_file, pid_file + ".oldbin"):
        old = start(weir, daemon="on")
        ab = load(weir, 80, 3000)
        os.kill(old, signal.SIGUSR2)
        new = wait_until(lambda: pid_in(pid_file) not in (None, old) and pid_in(pid_file),
                         "a new master")
        wait_until(lambda: len(children_of(new)) == 2, "the new one's workers")
        os.kill(old, signal.SIGWINCH)
        wait_until(lambda: children_of(old) <= {new}, "the old one's workers are gone", 30)
        os.kill(old, signal.SIGQUIT)
        wait_until(lambda: not os.path.exists(pid_file + ".oldbin"), "the old master is gone")
        check_load(weir, ab, 80, 3000)
        page = weir.on_weir("curl", "-sS", "-f", "-m", "20", f"http://{WEIR_ADDR}:81/").done()
        assert page == PAGE
        assert all(s["pid"] != old for s in weir.sockets())


def test_proxy(weir):
    """To a server on weir and to one on the kernel: 10 MB through each."""
    start(weir, more=f"location /kernel/ {{ proxy_pass http://{KERNEL_ADDR}:8080/; }}"
                     f"location /weir/ {{ proxy_pass http://{WEIR_ADDR}:8081/; }}")
    www = os.path.join(weir.tmp, "www")
    digest = make_file(os.path.join(www, "big.bin"), 10 << 20)
    serve = ("python3", "-m", "http.server", "-d", www)
    weir.on_kernel(*serve, "-b", KERNEL_ADDR, "8080")
    weir.wait_for_port(8080, addr=KERNEL_ADDR)
    weir.on_weir(*serve, "-b", WEIR_ADDR, "8081")
    weir.wait_for_socket(8081)
    for on in (weir.on_kernel, weir.on_weir):
        for side in ("kernel", "weir"):
            out = os.path.join(weir.tmp, "out")
            on("curl", "-sS", "-f", "-m", "60", "-o", out,
               f"http://{WEIR_ADDR}/{side}/big.bin").done()
            assert sha256(out) == digest


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_https(weir, version):
    cert, key, _ = certificate(weir.tmp)
    start(weir, more=f"listen 443 ssl http2; ssl_certificate {cert}; ssl_certificate_key {key};")
    digest = make_file(os.path.join(weir.tmp, "www", "big.bin"), 10 << 20)
    for on in (weir.on_kernel, weir.on_weir):
        out = os.path.join(weir.tmp, "out")
        said = on("curl", "-sS", "-f", "-m", "60", "-o", out, "--cacert", cert,
                  f"--http{version}", "-w", "%{http_version} %{ssl_verify_result}",
                  f"https://{WEIR_ADDR}/big.bin").done()
        assert said == f"{version} 0"
        assert sha256(out) == digest
    log = read(os.path.join(weir.tmp, "access.log"))
    assert log.count('"GET /big.bin HTTP/%s" 200 %d' % (
        "2.0" if version == "2" else version, 10 << 20)) == 2
