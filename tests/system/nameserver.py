# SPDX-License-Identifier: BSD-3-Clause
"""A small name server for tests: UDP and TCP on a kernel address, records from a table; remembers
who asked what, and how."""
import socket
import struct
import threading

A, NS, CNAME, PTR, MX, TXT, AAAA, OPT = 1, 2, 5, 12, 15, 16, 28, 41
NXDOMAIN, REFUSED = 3, 5
TRUNCATED = 0x0200


def encode_name(name):
    out = b""
    for label in name.rstrip(".").split("."):
        if label:
            out += bytes([len(label)]) + label.encode()
    return out + b"\0"


def decode_name(data, at):
    labels = []
    while data[at]:
        labels.append(data[at + 1:at + 1 + data[at]].decode().lower())
        at += 1 + data[at]
    return ".".join(labels), at + 1


def rdata(kind, value):
    if kind == A:
        return socket.inet_aton(value)
    if kind == AAAA:
        return socket.inet_pton(socket.AF_INET6, value)
    if kind == TXT:
        return bytes([len(value)]) + value.encode()
    return encode_name(value)


class Query:
    def __init__(self, proto, source, data):
        self.proto, self.source = proto, source
        self.ident, self.flags, _, _, _, extra = struct.unpack("!6H", data[:12])
        self.name, at = decode_name(data, 12)
        self.kind = struct.unpack("!H", data[at:at + 2])[0]
        self.question = data[12:at + 4]
        self.edns_bytes = 0
        if extra and struct.unpack("!H", data[at + 5:at + 7])[0] == OPT:
            self.edns_bytes = struct.unpack("!H", data[at + 7:at + 9])[0]

    def __repr__(self):
        return f"{self.proto} {self.source} {self.name} {self.kind}"


class NameServer:
    """records: {(name, kind): [value, ...]}. Names in `big` are truncated over UDP. A silent one
    takes questions and never answers."""

    def __init__(self, addr, records, big=(), silent=False):
        self.records, self.big, self.silent = records, set(big), silent
        self.queries = []
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((addr, 53))
        self.tcp = socket.create_server((addr, 53))
        self.threads = [threading.Thread(target=f, daemon=True) for f in (self.serve_udp,
                                                                         self.serve_tcp)]
        for t in self.threads:
            t.start()

    def close(self):
        for s in (self.udp, self.tcp):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for t in self.threads:
            t.join(5)
        self.udp.close()
        self.tcp.close()

    def serve_udp(self):
        while True:
            try:
                data, source = self.udp.recvfrom(65535)
            except OSError:
                return
            if not data:
                return
            answer = self.handle("udp", source[0], data)
            if answer:
                self.udp.sendto(answer, source)

    def serve_tcp(self):
        while True:
            try:
                conn, source = self.tcp.accept()
            except OSError:
                return
            with conn:
                while head := conn.recv(2, socket.MSG_WAITALL):
                    data = conn.recv(struct.unpack("!H", head)[0], socket.MSG_WAITALL)
                    answer = self.handle("tcp", source[0], data)
                    if answer:
                        conn.sendall(struct.pack("!H", len(answer)) + answer)

    def find(self, query):
        """The records that answer, an alias followed: [(name, kind, value), ...], and a code."""
        name, found = query.name, []
        while (name, CNAME) in self.records and query.kind != CNAME:
            found.append((name, CNAME, self.records[name, CNAME][0]))
            name = self.records[name, CNAME][0]
        found += [(name, query.kind, v) for v in self.records.get((name, query.kind), ())]
        known = any(n == name for n, _ in self.records)
        return found, 0 if known else NXDOMAIN

    def handle(self, proto, source, data):
        query = Query(proto, source, data)
        self.queries.append(query)
        if self.silent:
            return None
        found, code = self.find(query)
        flags = 0x8580 | code  # an answer, authoritative, recursion available
        if proto == "udp" and query.name in self.big:
            found, flags = [], flags | TRUNCATED
        head = struct.pack("!6H", query.ident, flags, 1, len(found), 0, 0)
        body = b"".join(encode_name(n) + struct.pack("!2HIH", k, 1, 60, len(rdata(k, v))) +
                        rdata(k, v) for n, k, v in found)
        return head + query.question + body
