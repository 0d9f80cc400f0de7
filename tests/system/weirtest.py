# SPDX-License-Identifier: BSD-3-Clause
"""What the system tests share: a network namespace of the test's own, an instance of weir in it,
and programs that are started and ended by their process ids.

There are no sleeps that hope: whoever waits, waits for a condition, with a deadline.
"""
import contextlib
import ctypes
import hashlib
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("WEIR_BUILD", os.path.join(TOP, "build")))
BIN = os.path.join(BUILD, "src", "bin")
# What sanitized daemons need not report; see the file.
os.environ.setdefault("LSAN_OPTIONS", "print_suppressions=0:suppressions=" + os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "lsan.supp"))
WEIR_ADDR, KERNEL_ADDR = "198.18.0.2", "198.18.0.1"
TAP = f"tap,name=weir0,addr={KERNEL_ADDR}/24"
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
SANITIZER = re.compile(r"ERROR: \w+Sanitizer|runtime error: |WARNING: ThreadSanitizer")
PYTHON = "/usr/bin/python3"

# Begins a script: the result of a call, or the name of its error.
TRY = """
import errno

def t(call, *args):
    try:
        return call(*args)
    except OSError as error:
        return errno.errorcode[error.errno]
"""

libc = ctypes.CDLL(None, use_errno=True)


def check(ok, what):
    if not ok:
        raise OSError(ctypes.get_errno(), what)


def die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def pause(seconds=0.02):
    """Between two looks at a condition; select() so that signals are seen."""
    select.select([], [], [], seconds)


def wait_until(condition, what, timeout=20):
    """The first true answer of condition(), or an assertion failure after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        pause()


class Namespace:
    """A network namespace that this process moves into, and out of again at the end."""

    def __enter__(self):
        self.before = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        check(libc.unshare(CLONE_NEWNET) == 0, "unshare: the system tests need root")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=10)
        # The kernel's IPv6 would say hello on each TAP: frames that no test has sent.
        for which in ("all", "default"):
            with contextlib.suppress(OSError):
                with open(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6", "w",
                          encoding="ascii") as f:
                    f.write("1")
        return self

    def __exit__(self, *_):
        check(libc.setns(self.before, CLONE_NEWNET) == 0, "setns")
        os.close(self.before)


class Program:
    """A child with a log, ended by its id."""

    def __init__(self, name, argv, log, stdin=subprocess.DEVNULL, env=None, pass_fds=()):
        self.name, self.log_path = name, log
        full = dict(os.environ, **(env or {}))
        with open(log, "ab") as out:
            self.child = subprocess.Popen(argv, stdin=stdin, stdout=out, stderr=out, env=full,
                                          start_new_session=True, preexec_fn=die_with_parent,
                                          pass_fds=pass_fds)
        self.pid = self.child.pid

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def running(self):
        return self.child.poll() is None

    def wait(self, timeout=60):
        try:
            return self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {timeout} s\n"
                                 + self.log()[-2000:]) from None

    def done(self, timeout=60):
        """Wait; it must have succeeded. Returns its output."""
        status = self.wait(timeout)
        assert status == 0, f"{self.name} ended with status {status}\n" + self.log()[-3000:]
        return self.log()

    def end(self, how=signal.SIGTERM, timeout=20):
        if self.running():
            self.child.send_signal(how)
        return self.wait(timeout)

    def kill_all(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.child.wait(10)


class Weir:
    """An instance of weird and what runs on it. `ports` are specifications, each with addresses."""

    def __init__(self, instance="default", ports=((TAP, f"{WEIR_ADDR}/24"),), options=(),
                 wrap=(), tmp=None):
        self.instance = instance
        self.own_tmp = tmp is None
        self.tmp = tmp or tempfile.mkdtemp(prefix="weir-test-")
        os.chmod(self.tmp, 0o755)
        self.rundir = os.path.join(self.tmp, "run")
        self.ports, self.options, self.wrap = ports, list(options), list(wrap)
        self.programs = []
        self.counter = 0
        self.dead = False
        self.daemon = None
        self.pool_free = None

    # ---- life ----

    def start(self):
        argv = self.wrap + [os.path.join(BIN, "weird"), "--instance", self.instance,
                            "--rundir", self.rundir]
        for spec, *addresses in self.ports:
            argv += ["--port", spec]
            for address in addresses:
                argv += ["--addr", address]
        self.daemon = self.start_weird(argv + self.options)
        self.pool_free = self.free_buffers()
        return self

    def start_weird(self, argv):
        ready, theirs = os.pipe()
        daemon = Program("weird", argv + ["--ready-fd", str(theirs)],
                         os.path.join(self.tmp, f"weird-{self.instance}.log"), pass_fds=(theirs,))
        os.close(theirs)
        readable, _, _ = select.select([ready], [], [], 60)
        said = os.read(ready, 16) if readable else b""
        os.close(ready)
        if b"ready" not in said:
            daemon.kill_all()
            raise AssertionError("weird did not become ready\n" + daemon.log())
        return daemon

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.finish()
        finally:
            for program in self.programs + [self.daemon]:
                if program:
                    program.kill_all()
            if kind is None and self.own_tmp:
                shutil.rmtree(self.tmp, ignore_errors=True)

    def finish(self):
        """What must hold after every test: programs end, every packet and buffer is accounted for,
        no sanitizer spoke, weird ends in order."""
        for program in reversed(self.programs):
            if program.running():
                program.end()
        if not self.dead:
            self.check_ledger()
            if self.pool_free is not None:
                wait_until(lambda: self.free_buffers() >= self.pool_free,
                           "packet buffers are back in the pool", 10)
            done = self.cli("stop")
            assert done.returncode == 0, done.stderr
            assert self.daemon.wait(20) == 0, self.daemon.log()[-3000:]
        for program in self.programs + [self.daemon]:
            found = SANITIZER.search(program.log())
            assert not found, f"{program.name}:\n{program.log()[-6000:]}"

    def check_ledger(self, timeout=15):
        """It balances, and nothing is held once traffic is over."""
        wait_until(lambda: self.ledger()["held"] == 0, "no packet is held any more", timeout)
        ledger = self.ledger()
        assert ledger["balance"] == 0, ledger
        assert (ledger["entered"] + ledger["originated"] ==
                ledger["delivered"] + ledger["transmitted"] + ledger["forwarded"] +
                ledger["absorbed"] + ledger["dropped"] + ledger["held"]), ledger
        assert sum(d["count"] for d in ledger["drops"]) == ledger["dropped"], ledger
        return ledger

    # ---- the command line ----

    def argv(self, *args):
        return [os.path.join(BIN, "weir"), "--rundir", self.rundir, "--instance", self.instance,
                *args]

    def cli(self, *args, timeout=30):
        return subprocess.run(self.argv(*args), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=timeout, text=True, check=False)

    def json(self, *args):
        done = self.cli(*args, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def ledger(self):
        return self.json("ledger")

    def stat(self):
        return self.json("stat")

    def sockets(self):
        return self.json("stat", "sockets")["sockets"]

    def drops(self, reason):
        return sum(d["count"] for d in self.ledger()["drops"] if d["reason"] == reason)

    def free_buffers(self):
        return sum(w["pool"]["free"] for w in self.stat()["workers"])

    # ---- programs ----

    def log_name(self, name):
        self.counter += 1
        return os.path.join(self.tmp, f"{self.counter:03}-{self.instance}-{name}.log")

    def on_kernel(self, *argv, env=None):
        program = Program(os.path.basename(argv[0]), list(argv),
                          self.log_name(os.path.basename(argv[0])), env=env)
        self.programs.append(program)
        return program

    def on_weir(self, *argv, env=None, wrap=(), stdin=subprocess.DEVNULL):
        name = os.path.basename(argv[0])
        program = Program(name, list(wrap) + self.argv("run", "--", *argv), self.log_name(name),
                          stdin=stdin, env=env)
        self.programs.append(program)
        return program

    def script(self, text, *args):
        """A Python script on weir."""
        return self.on_weir(PYTHON, "-c", text, *args)

    def as_kernel(self, text, wrap=()):
        """A Python script says on weir, line by line, what it says on the kernel: that."""
        argv = (PYTHON, "-c", text)
        kernel = subprocess.run(tuple(wrap) + argv, capture_output=True, text=True, timeout=30,
                                check=True).stdout
        assert self.on_weir(*argv, wrap=wrap).done(30).splitlines() == kernel.splitlines()
        return kernel

    def wait_for_port(self, port, timeout=30, addr=WEIR_ADDR, program=None):
        def answers():
            assert program is None or program.running(), program.log()
            try:
                socket.create_connection((addr, port), timeout=2).close()
                return True
            except OSError:
                return False
        wait_until(answers, f"{addr} port {port} answers", timeout)

    def wait_for_socket(self, port=None, proto="tcp", timeout=30):
        """Until the program that was started last listens (TCP) or is bound (UDP)."""
        program = self.programs[-1]

        def is_there():
            assert program.running(), f"{program.name} ended\n{program.log()}"
            return any(s["proto"] == proto and (proto == "udp" or s["state"] == "LISTEN") and
                       (port is None or s["local"].endswith(f":{port}")) for s in self.sockets())

        wait_until(is_there, f"{program.name} has a {proto} socket", timeout)

    def nginx(self, workers=2, sendfile="on"):
        """nginx with `workers` worker processes on port 80; self.www is its root."""
        self.www = os.path.join(self.tmp, "www")
        os.makedirs(self.www, exist_ok=True)
        with open(os.path.join(self.www, "index.html"), "w", encoding="utf-8") as f:
            f.write("<p>a page of nginx on weir\n")
        self.nginx_conf = os.path.join(self.tmp, "nginx.conf")
        with open(self.nginx_conf, "w", encoding="utf-8") as f:
            f.write(NGINX_CONF.format(tmp=self.tmp, workers=workers, sendfile=sendfile))
        program = self.on_weir("nginx", "-p", self.tmp, "-c", self.nginx_conf)
        self.wait_for_port(80, program=program)
        wait_until(lambda: os.path.exists(os.path.join(self.tmp, "nginx.pid")), "nginx's pid file")
        return program

    def redis(self, *options, wrap=()):
        program = self.on_weir("redis-server", "--port", "6379", "--bind", WEIR_ADDR, "--save", "",
                               "--appendonly", "no", "--protected-mode", "no", "--dir", self.tmp,
                               *options, wrap=wrap)
        self.wait_for_port(6379, program=program)
        return program


NGINX_CONF = """daemon off;
worker_processes {workers};
pid {tmp}/nginx.pid;
error_log {tmp}/nginx-error.log info;
events {{ }}
http {{
    access_log off;
    sendfile {sendfile};
    client_body_temp_path {tmp}/t1;
    proxy_temp_path {tmp}/t2;
    fastcgi_temp_path {tmp}/t3;
    uwsgi_temp_path {tmp}/t4;
    scgi_temp_path {tmp}/t5;
    server {{
        listen 80;
        root {tmp}/www;
    }}
}}
"""


def make_file(path, size_bytes):
    """A file whose every 64 KiB differ; returns its SHA-256."""
    block = os.urandom(65536)
    digest = hashlib.sha256()
    with open(path, "wb") as f:
        for i in range(size_bytes >> 16):
            part = i.to_bytes(8, "big") + block[8:]
            f.write(part)
            digest.update(part)
    os.chmod(path, 0o644)
    return digest.hexdigest()


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        for part in iter(lambda: f.read(1 << 20), b""):
            digest.update(part)
    return digest.hexdigest()


@contextlib.contextmanager
def kernel_server(handle, port, addr=KERNEL_ADDR):
    """A TCP server on the kernel's side: handle(connection) in a thread for each connection."""
    server = socket.create_server((addr, port), backlog=64)
    server.settimeout(0.1)
    over = threading.Event()
    errors = []

    def serve_one(connection):
        with connection:
            connection.settimeout(60)
            try:
                handle(connection)
            except OSError as error:
                errors.append(error)

    def serve():
        while not over.is_set():
            try:
                connection, _ = server.accept()
            except socket.timeout:
                continue
            threading.Thread(target=serve_one, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield errors
    finally:
        over.set()
        thread.join(5)
        server.close()


def receive_all(connection):
    """SHA-256 and number of the bytes until the other side's end."""
    digest, count = hashlib.sha256(), 0
    while True:
        part = connection.recv(1 << 18)
        if not part:
            return digest.hexdigest(), count
        digest.update(part)
        count += len(part)


def cpu_seconds(pid):
    """User and system time that a process has used."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
