#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The main job of weir, end to end, as `make run` shows it.

  demo.py [--build DIR] [--size MB] [--requests N]

Everything happens inside a network namespace that this program makes for itself and that goes with
it; the host's network is not touched. It starts weird on a TAP port (weir is 198.18.0.2, the
kernel's side 198.18.0.1) and unmodified programs: nginx with two workers on weir, fetched from by
the kernel's curl; redis-server and redis-benchmark, both on weir; curl on weir, which fetches from
a web server on the kernel. Then it prints the path that packets took and the ledger, which has to
balance. It ends by itself: every step has a time limit, and what was started is ended by its
process id. The exit status is 0 only if every step did what it should.
"""
import argparse
import ctypes
import functools
import hashlib
import http.server
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WEIR, KERNEL = "198.18.0.2", "198.18.0.1"
HTTP_PORT, REDIS_PORT, KERNEL_PORT = 80, 6379, 8080
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
STEPS = 8

libc = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    """A step did not do what it should; the message says what."""


def die_with_parent():
    """In a child: be ended when the demo is, however that happens."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def enter_own_network():
    if os.geteuid() != 0:
        raise Failed("a network namespace and a TAP port need root: sudo make run")
    if libc.unshare(CLONE_NEWNET):
        raise Failed("no network namespace of our own: " + os.strerror(ctypes.get_errno()))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=10)


def make_file(path, size_bytes):
    """A file in which every megabyte is different; returns its SHA-256."""
    block = os.urandom(1 << 20)
    digest = hashlib.sha256()
    with open(path, "wb") as f:
        for i in range(size_bytes >> 20):
            part = i.to_bytes(8, "big") + block[8:]
            f.write(part)
            digest.update(part)
    return digest.hexdigest()


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        for part in iter(lambda: f.read(1 << 20), b""):
            digest.update(part)
    return digest.hexdigest()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Demo:
    def __init__(self, options):
        self.options = options
        self.instance = f"demo-{os.getpid()}"
        self.tmp = tempfile.mkdtemp(prefix="weir-demo-")
        os.chmod(self.tmp, 0o755)  # nginx's workers are another user
        self.rundir = os.path.join(self.tmp, "run")
        self.www = os.path.join(self.tmp, "www")
        os.mkdir(self.www)
        self.bin = os.path.join(os.path.abspath(options.build), "src", "bin")
        self.running = []  # (name, Popen), in the order of their start
        self.logs = {}
        self.step_number = 0
        self.figures = []

    # ---- words ----

    def step(self, text):
        self.step_number += 1
        print(f"\n[{self.step_number}/{STEPS}] {text}", flush=True)

    @staticmethod
    def say(text):
        print(f"      {text}", flush=True)

    def shown(self, argv):
        """A command line as a person would type it."""
        words = [os.path.basename(w) if w.startswith(self.bin) else w for w in map(str, argv)]
        return " ".join(w.replace(self.tmp, "$TMP") if w else "''" for w in words)

    # ---- programs ----

    def weir(self, *args):
        return [os.path.join(self.bin, "weir"), "--rundir", self.rundir, "--instance",
                self.instance, *args]

    def on_weir(self, *argv):
        return self.weir("run", "--", *argv)

    def start(self, name, argv, pass_fds=()):
        log = os.path.join(self.tmp, name + ".log")
        self.logs[name] = log
        self.say("$ " + self.shown(argv))
        with open(log, "wb") as out:
            child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                     start_new_session=True, preexec_fn=die_with_parent,
                                     pass_fds=pass_fds, cwd=self.tmp)
        self.running.append((name, child))
        return child

    def run(self, name, argv, timeout):
        """Run to the end; returns (output, seconds)."""
        began = time.monotonic()
        child = self.start(name, argv)
        try:
            status = child.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failed(f"{name} did not end within {timeout} s") from None
        seconds = time.monotonic() - began
        self.running.remove((name, child))
        with open(self.logs[name], encoding="utf-8", errors="replace") as f:
            output = f.read()
        if status:
            raise Failed(f"{name} ended with status {status}")
        return output, seconds

    def end(self, name, how, timeout=20):
        for entry in [e for e in self.running if e[0] == name]:
            entry[1].send_signal(how)
            try:
                status = entry[1].wait(timeout)
            except subprocess.TimeoutExpired:
                raise Failed(f"{name} did not end within {timeout} s of {how.name}") from None
            self.running.remove(entry)
            return status
        raise Failed(f"{name} does not run")

    def alive(self):
        for name, child in self.running:
            if child.poll() is not None:
                raise Failed(f"{name} ended by itself, with status {child.returncode}")

    def wait_for_port(self, port, timeout=20):
        """Until weir answers on a TCP port: nothing else says that a server is ready."""
        deadline = time.monotonic() + timeout
        while True:
            self.alive()
            try:
                socket.create_connection((WEIR, port), timeout=2).close()
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    raise Failed(f"nothing answers at {WEIR} port {port}: {error}") from None
            select.select([], [], [], 0.05)

    # ---- steps ----

    def start_weird(self):
        self.step(f"weird on a TAP port: weir is {WEIR}/24, the kernel's side {KERNEL}/24")
        began = time.monotonic()
        ready, theirs = os.pipe()
        self.start("weird", [os.path.join(self.bin, "weird"), "--rundir", self.rundir,
                             "--instance", self.instance, "--port",
                             f"tap,name=weir0,addr={KERNEL}/24", "--addr", f"{WEIR}/24",
                             "--allow-users", "--ready-fd", str(theirs)], pass_fds=(theirs,))
        os.close(theirs)
        readable, _, _ = select.select([ready], [], [], 60)
        said = os.read(ready, 16) if readable else b""
        os.close(ready)
        if b"ready" not in said:
            raise Failed("weird did not become ready")
        self.say(f"ready after {time.monotonic() - began:.2f} s")

    def start_nginx(self):
        self.step(f"unmodified nginx, a master and two workers, on weir: {WEIR} port {HTTP_PORT}")
        with open(os.path.join(self.tmp, "nginx.conf"), "w", encoding="utf-8") as f:
            f.write(f"""daemon off;
worker_processes 2;
pid {self.tmp}/nginx.pid;
error_log {self.tmp}/nginx-error.log;
events {{ }}
http {{
    access_log off;
    sendfile on;
    client_body_temp_path {self.tmp}/body;
    proxy_temp_path {self.tmp}/proxy;
    fastcgi_temp_path {self.tmp}/fastcgi;
    uwsgi_temp_path {self.tmp}/uwsgi;
    scgi_temp_path {self.tmp}/scgi;
    server {{
        listen {HTTP_PORT};
        root {self.www};
    }}
}}
""")
        with open(os.path.join(self.www, "index.html"), "w", encoding="utf-8") as f:
            f.write("<!doctype html><title>weir</title><p>Not one packet is lost in silence.\n")
        self.say(f"making a file of {self.options.size} MB")
        self.digest = make_file(os.path.join(self.www, "big.bin"), self.options.size << 20)
        self.logs["nginx-error"] = os.path.join(self.tmp, "nginx-error.log")
        self.start("nginx", self.on_weir("nginx", "-p", self.tmp, "-c",
                                         os.path.join(self.tmp, "nginx.conf")))
        self.wait_for_port(HTTP_PORT)
        self.say("nginx answers")

    def fetch_from_weir(self):
        self.step(f"the kernel's curl ({KERNEL}) fetches from nginx on weir ({WEIR})")
        page = os.path.join(self.tmp, "page")
        self.run("curl-page", ["curl", "-sS", "-f", "-m", "30", "-o", page,
                               f"http://{WEIR}/index.html"], 40)
        if sha256(page) != sha256(os.path.join(self.www, "index.html")):
            raise Failed("the page is not the page that nginx has")
        self.say("the page is right")
        big = os.path.join(self.tmp, "big")
        _, seconds = self.run("curl-big", ["curl", "-sS", "-f", "-m", "120", "-o", big,
                                           f"http://{WEIR}/big.bin"], 130)
        self.check_big(big, seconds, "kernel curl from nginx on weir")

    def check_big(self, path, seconds, what):
        if sha256(path) != self.digest:
            raise Failed("the bytes of the big file are not those that were sent")
        rate = (self.options.size << 20) / seconds / 1e6
        self.say(f"{self.options.size} MB, every byte right (SHA-256 {self.digest[:16]}...): "
                 f"{seconds:.2f} s, {rate:,.0f} MB/s")
        self.figures.append((what, f"{rate:,.0f} MB/s"))
        os.unlink(path)

    def redis(self):
        self.step(f"unmodified redis-server on weir ({WEIR} port {REDIS_PORT}), and "
                  "redis-benchmark on weir against it")
        self.start("redis-server", self.on_weir(
            "redis-server", "--port", str(REDIS_PORT), "--bind", WEIR, "--save", "",
            "--appendonly", "no", "--daemonize", "no", "--protected-mode", "no", "--dir", self.tmp))
        self.wait_for_port(REDIS_PORT)
        out, seconds = self.run("redis-benchmark", self.on_weir(
            "redis-benchmark", "-h", WEIR, "-p", str(REDIS_PORT), "-t", "set,get", "-n",
            str(self.options.requests), "-c", "50", "--csv"), 120)
        for line in out.splitlines():
            cells = [c.strip('"') for c in line.split(",")]
            if cells[0] in ("SET", "GET"):
                self.say(f"{cells[0]}: {float(cells[1]):,.0f} requests/s (50 connections)")
                self.figures.append((f"redis {cells[0]}, both on weir",
                                     f"{float(cells[1]):,.0f} requests/s"))
        if not any(f[0].startswith("redis GET") for f in self.figures):
            raise Failed("redis-benchmark printed no figure for GET")
        self.say(f"done in {seconds:.2f} s")

    def fetch_with_weir(self):
        self.step(f"unmodified curl on weir ({WEIR}) fetches from a web server on the kernel "
                  f"({KERNEL} port {KERNEL_PORT})")
        handler = functools.partial(Quiet, directory=self.www)
        server = http.server.ThreadingHTTPServer((KERNEL, KERNEL_PORT), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        big = os.path.join(self.tmp, "big")
        _, seconds = self.run("curl-on-weir", self.on_weir(
            "curl", "-sS", "-f", "-m", "120", "-o", big,
            f"http://{KERNEL}:{KERNEL_PORT}/big.bin"), 130)
        server.shutdown()
        server.server_close()
        self.check_big(big, seconds, "curl on weir from the kernel")

    def stop_programs(self):
        self.step("the programs end")
        self.end("redis-server", signal.SIGTERM)
        self.end("nginx", signal.SIGQUIT)
        self.say("redis-server and nginx ended in order")

    def show(self, *args):
        command = self.weir(*args)
        self.say("$ " + self.shown(["weir", *args]))
        out = subprocess.run(command, stdout=subprocess.PIPE, timeout=30, check=False)
        if out.returncode:
            raise Failed(f"weir {' '.join(args)} ended with status {out.returncode}")
        sys.stdout.write("\n" + out.stdout.decode() + "\n")
        sys.stdout.flush()

    def ledger(self):
        out = subprocess.run(self.weir("ledger", "--json"), stdout=subprocess.PIPE, timeout=30,
                             check=True)
        return json.loads(out.stdout)

    def report(self):
        self.step("the path that the packets took, and the ledger")
        deadline = time.monotonic() + 10
        while self.ledger()["held"] and time.monotonic() < deadline:
            select.select([], [], [], 0.1)
        self.show("path")
        self.show("ledger")
        ledger = self.ledger()
        if ledger["balance"]:
            raise Failed(f"the ledger does not balance: {ledger['balance']} packets")
        if ledger["held"]:
            raise Failed(f"{ledger['held']} packets are still held, with nothing going on")
        if not ledger["entered"] or not ledger["delivered"]:
            raise Failed("no packet went through weir")
        self.say(f"{ledger['entered'] + ledger['originated']:,} packets, "
                 "and every one is accounted for")

    def stop_weird(self):
        self.step("weird ends")
        self.run("weir-stop", self.weir("stop"), 20)
        for entry in [e for e in self.running if e[0] == "weird"]:
            try:
                status = entry[1].wait(20)
            except subprocess.TimeoutExpired:
                raise Failed("weird did not end within 20 s of weir stop") from None
            self.running.remove(entry)
            if status:
                raise Failed(f"weird ended with status {status}")
        self.say("in order")

    # ---- the whole ----

    def play(self):
        began = time.monotonic()
        for step in (self.start_weird, self.start_nginx, self.fetch_from_weir, self.redis,
                     self.fetch_with_weir, self.stop_programs, self.report, self.stop_weird):
            step()
        print(f"\nEvery step did what it should, in {time.monotonic() - began:.1f} s:")
        width = max(len(what) for what, _ in self.figures)
        for what, figure in self.figures:
            print(f"      {what:<{width}}  {figure}")

    def tails(self):
        for name, path in self.logs.items():
            try:
                with open(path, encoding="utf-8", errors="replace") as f:
                    lines = f.read().splitlines()[-15:]
            except OSError:
                continue
            if lines:
                print(f"--- the end of {name}'s log", file=sys.stderr)
                print("\n".join("    " + line for line in lines), file=sys.stderr)

    def clean_up(self):
        """End what still runs, by the ids of the groups that we made, newest first."""
        for how, patience in ((signal.SIGTERM, 3), (signal.SIGKILL, 5)):
            for _, child in reversed(self.running):
                try:
                    os.killpg(child.pid, how)
                except (ProcessLookupError, PermissionError):
                    pass
            for entry in list(self.running):
                try:
                    entry[1].wait(patience)
                    self.running.remove(entry)
                except subprocess.TimeoutExpired:
                    pass
        shutil.rmtree(self.tmp, ignore_errors=True)


def interrupted(number, _):
    raise KeyboardInterrupt(signal.Signals(number).name)


def main():
    parser = argparse.ArgumentParser(description="weir's main job, end to end (make run)")
    parser.add_argument("--build", default=os.path.join(TOP, "build"), help="the build folder")
    parser.add_argument("--size", type=int, default=100, help="the big file, in MB")
    parser.add_argument("--requests", type=int, default=100000, help="for each Redis command")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGHUP, interrupted)
    missing = [p for p in ("nginx", "redis-server", "redis-benchmark", "curl", "ip")
               if not shutil.which(p, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")]
    if missing:
        print(f"demo: these programs are missing: {', '.join(missing)}; make deps installs them",
              file=sys.stderr)
        return 1
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    demo = None
    status = 1
    try:
        print("A network namespace of our own: the host's network is not touched.")
        enter_own_network()
        demo = Demo(options)
        demo.play()
        status = 0
    except KeyboardInterrupt:
        print("\ndemo: interrupted; cleaning up", file=sys.stderr)
    except (Failed, OSError, subprocess.SubprocessError) as error:
        print(f"\ndemo: FAILED: {error}", file=sys.stderr)
        if demo:
            demo.tails()
    finally:
        if demo:
            demo.clean_up()
    return status


if __name__ == "__main__":
    sys.exit(main())
