# SPDX-License-Identifier: BSD-3-Clause
"""`weir dropwatch` as a test talks to it: over pipes, or over a terminal of its own."""
import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import time

from weirtest import SANITIZER, die_with_parent

STARTED = "Issue Ctrl-C to stop monitoring\n"
STOPPED = "Got a stop message\n"


class Dropwatch:
    """A dropwatch with its prompt, or, with options, as they say. `said` is all that it printed."""

    def __init__(self, argv, terminal=False, **more):
        self.said, self.errors = "", ""
        self.terminal = None
        if terminal:
            self.terminal, theirs = pty.openpty()
            self.child = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs,
                                          start_new_session=True, preexec_fn=own_terminal,
                                          env=dict(os.environ, TERM="xterm"))
            os.close(theirs)
            self.fd = self.terminal
        else:
            self.child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                          stderr=subprocess.PIPE, preexec_fn=die_with_parent,
                                          **more)
            self.fd = self.child.stdout.fileno()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait(10)
        if self.terminal is not None:
            os.close(self.terminal)

    def read(self, timeout):
        """What is there now; False at the end."""
        readable, _, _ = select.select([self.fd], [], [], timeout)
        if not readable:
            return True
        try:
            part = os.read(self.fd, 65536)
        except OSError:  # a terminal whose other end is closed
            return False
        text = part.decode("utf-8", "replace").replace("\r\n", "\n")
        self.said += re.sub(r"\033\[\d*m", "", text) if self.terminal is not None else text
        return bool(part)

    def wait_for(self, text, count=1, timeout=20):
        """Until `text` was said `count` times, in all."""
        deadline = time.monotonic() + timeout
        while self.said.count(text) < count:
            assert time.monotonic() < deadline, f"not within {timeout} s: {text!r}\n{self.said}"
            if not self.read(0.2):
                break
        assert self.said.count(text) >= count, f"never said: {text!r}\n{self.said}\n{self.rest()}"
        return self.said

    def type(self, *lines):
        data = "".join(line + "\n" for line in lines).encode()
        os.write(self.terminal if self.terminal is not None else self.child.stdin.fileno(), data)

    def start(self):
        before = self.said.count(STARTED)
        self.type("start")
        self.wait_for(STARTED, before + 1)

    def interrupt(self):
        if self.terminal is not None:
            os.write(self.terminal, b"\x03")
        else:
            self.child.send_signal(signal.SIGINT)

    def rest(self):
        if self.child.stderr and self.child.poll() is not None:
            with contextlib.suppress(ValueError):
                self.errors += self.child.stderr.read().decode("utf-8", "replace")
        return self.errors

    def end(self, *lines, status=0, timeout=30):
        """Type the last lines and the end of input, and wait. Returns all that was said."""
        if lines:
            self.type(*lines)
        if self.terminal is None:
            self.child.stdin.close()
        deadline = time.monotonic() + timeout
        while self.read(0.2):
            assert time.monotonic() < deadline, f"it does not end\n{self.said}"
        assert self.child.wait(timeout) == status, f"{self.said}\n{self.rest()}"
        assert not SANITIZER.search(self.said + self.rest()), self.said + self.errors
        return self.said


def own_terminal():
    """In the child: its terminal is the session's, so that Ctrl-C is a signal."""
    import fcntl
    import termios
    die_with_parent()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
