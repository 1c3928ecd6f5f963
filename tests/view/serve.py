#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""serve.py SERVE_SITE - asks the server of goalloc-view as clients do, and as nobody should."""

import os
import re
import socket
import stat
import subprocess
import sys
import tempfile
import time

SITE = sys.argv[1]
DIRECTORY = tempfile.mkdtemp(prefix="goalloc-serve-")
LASTS = os.path.join(DIRECTORY, "lasts")
HOST = b"Host: localhost\r\n"


def check(condition, what):
    if not condition:
        raise SystemExit("FAILED: " + str(what))


class Server:
    """A serve_site that listens."""

    def __init__(self, where):
        open(LASTS, "w").close()
        self.process = subprocess.Popen([SITE, where, LASTS], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        found = re.match(r"goalloc-view: test at http://127\.0\.0\.1:(\d+)/$", line)
        self.port = int(found.group(1)) if found else None
        self.line = line

    def connect(self):
        s = socket.create_connection(("127.0.0.1", self.port))
        s.settimeout(60)
        return s

    def stop(self):
        self.process.terminate()
        check(self.process.wait() == 0, "the server does not end at SIGTERM")


def read_all(s):
    parts = []
    while True:
        part = s.recv(1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)


def split(answer):
    """Returns status, fields and body, and checks that the length is told."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    check(re.match(r"HTTP/1\.1 \d\d\d [A-Z]", lines[0]), lines[0])
    fields = dict(line.split(": ", 1) for line in lines[1:])
    check(fields["Connection"] == "close" and fields["X-Content-Type-Options"] == "nosniff", head)
    return int(lines[0].split()[1]), fields, body


def ask(server, request):
    with server.connect() as s:
        s.sendall(request)
        status, fields, body = split(read_all(s))
        if not request.startswith(b"HEAD"):
            check(len(body) == int(fields["Content-Length"]), "length of the body")
        return status, fields, body


def get(server, path, fields=HOST):
    return ask(server, b"GET " + path + b" HTTP/1.1\r\n" + fields + b"\r\n")


def answers(server):
    check(get(server, b"/small")[::2] == (200, b"small\n"), "/small")
    check(get(server, b"/echo?seconds=30&x=%41")[2] == b"/echo?seconds=30&x=%41\n", "/echo")
    status, fields, body = ask(server, b"HEAD /large HTTP/1.1\r\n" + HOST + b"\r\n")
    check((status, fields["Content-Length"], body) == (200, str(16 << 20), b""), "HEAD")
    check(get(server, b"/no")[0] == 404, "/no")
    check("default-src 'none'" in get(server, b"/")[1]["Content-Security-Policy"], "policy")
    check(ask(server, b"GET /small HTTP/1.0\r\n\r\n")[0] == 200, "HTTP/1.0 without a host")
    check(ask(server, b"GET /small HTTP/1.0\n\n")[0] == 200, "lines without a carriage return")
    # What follows a request is no second one.
    check(get(server, b"/small", HOST + b"\r\nGET /small HTTP/1.1\r\n")[0] == 200, "pipelining")


def bad_requests(server):
    for request, status in [
            (b"\x16\x03\x01\x02\x00\x01", 400),
            (b"POST /small HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc", 405),
            (b"DELETE / HTTP/1.1\r\n", 405), (b"OPTIONS * HTTP/1.1\r\n", 405),
            (b"get / HTTP/1.1\r\n", 405), (b"GE\x00T / HTTP/1.1\r\n", 400),
            (b"GET / HTTP/2.0\r\n", 505), (b"GET / HTTP/9\r\n", 400), (b"GET /\r\n", 400),
            (b"GET small HTTP/1.1\r\n", 400), (b"GET http://localhost/ HTTP/1.1\r\n", 400),
            (b"GET / small HTTP/1.1\r\n", 400), (b"GET /\xff HTTP/1.1\r\n", 400),
            (b"GET / HTTP/1.1\r\n\r\n", 400), (b"GET / HTTP/1.1\r\n" + 2 * HOST + b"\r\n", 400),
            (b"GET / HTTP/1.1\r\n" + HOST + b" folded: yes\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nX: \x00\r\n\r\n", 400),
            (b"GET /" + 127 * b"a" + b" HTTP/1.1\r\n", 414),
            (b"GET /?" + 512 * b"a" + b" HTTP/1.1\r\n", 414),
            (b"GET /" + 70000 * b"a" + b" HTTP/1.1\r\n", 414),
            (b"GET / HTTP/1.1\r\nX: " + 65536 * b"a" + b"\r\n\r\n", 431),
            (b"GET / HTTP/1.1\r\n" + 8000 * b"X: y\r\n" + HOST + b"\r\n", 431)]:
        got, fields, _ = ask(server, request)
        check(got == status, (request[:60], got, status))
        check((got == 405) == ("Allow" in fields), "Allow")


def paths(server):
    for path in [b"/../small", b"/./small", b"/%2e%2e/etc/passwd", b"//small", b"/small/",
                 b"/../../../../etc/passwd", b"/..%2f..%2fetc/passwd", b"/small%00"]:
        check(get(server, path)[0] == 404, path)


def hosts(server):
    for host, status in [
            (b"localhost", 200), (b"LOCALHOST:1", 200), (b"127.0.0.1:6060", 200),
            (b"127.8.9.10", 200), (b"[::1]:80", 200), (b"evil.example", 421),
            (b"localhost.evil.example", 421), (b"127.0.0.1.evil.example", 421), (b"", 421),
            (b"10.0.0.1", 421), (b"localhost:80:80", 421), (b"localhost:x", 421)]:
        check(get(server, b"/small", b"Host: " + host + b"\r\n")[0] == status, host)
    for site, small, page in [(b"same-origin", 200, 200), (b"none", 200, 200),
                              (b"cross-site", 403, 200), (b"same-site", 403, 200)]:
        fields = HOST + b"Sec-Fetch-Site: " + site + b"\r\n"
        check(get(server, b"/small", fields)[0] == small, site)
        check(get(server, b"/", fields)[0] == page, site)


def slow_clients(server):
    """Requests that come byte by byte, or not at all, keep nobody waiting."""
    request = b"GET /small HTTP/1.1\r\n" + HOST + b"\r\n"
    slow = [server.connect() for _ in range(100)]
    for i, s in enumerate(slow):
        s.sendall(request[:i % len(request)])
    for _ in range(20):
        check(get(server, b"/small")[0] == 200, "a request beside 100 halves")
    for i, s in enumerate(slow[:50]):
        for byte in request[i % len(request):]:
            s.sendall(bytes([byte]))
        check(split(read_all(s))[0] == 200, "a request byte by byte")
    for s in slow:
        s.close()
    # A half request that is closed for writing gets no answer, and harms nobody.
    with server.connect() as s:
        s.sendall(b"GET /sm")
        s.shutdown(socket.SHUT_WR)
        check(read_all(s) == b"", "half a request")
    # One that stays half is told so after ten seconds, and one that never began is closed.
    with server.connect() as half, server.connect() as silent:
        half.sendall(b"GET /sm")
        check(split(read_all(half))[0] == 408, "a request without an end")
        check(read_all(silent) == b"", "a connection without a request")


def slow_readers(server):
    """Clients that do not read share one answer, and are read to the end later."""
    made = int(get(server, b"/count")[2])
    readers = [server.connect() for _ in range(40)]
    start = time.monotonic()
    for s in readers:
        s.sendall(b"GET /large HTTP/1.1\r\n" + HOST + b"\r\n")
    for _ in range(10):
        check(get(server, b"/small")[0] == 200, "a request beside slow readers")
    for s in readers:
        status, _, body = split(read_all(s))
        check(status == 200 and len(body) == 16 << 20 and body[-1:] == b"v", "a large answer")
        s.close()
    took = time.monotonic() - start
    check(int(get(server, b"/count")[2]) - made <= 12 + 40 * took / 0.2, "answers are not shared")


def crowd(server):
    """More connections than the server keeps: the newest are served."""
    crowd_of = [server.connect() for _ in range(300)]
    check(get(server, b"/small")[0] == 200, "a request beside 300 connections")
    crowd_of[-1].sendall(b"GET /small HTTP/1.1\r\n" + HOST + b"\r\n")
    check(split(read_all(crowd_of[-1]))[0] == 200, "the newest connection")
    for s in crowd_of:
        s.close()
    for _ in range(200):
        s = server.connect()
        s.sendall(b"GET /large HTTP/1.1\r\n" + HOST + b"\r\n")
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        s.close()
    check(get(server, b"/small")[0] == 200, "a request after 200 resets")


def the_end(server):
    os.unlink(LASTS)
    deadline = time.monotonic() + 30
    while get(server, b"/small")[0] == 200 and time.monotonic() < deadline:
        time.sleep(0.05)
    status, _, body = get(server, b"/small")
    check((status, body) == (410, b"the process has ended\n"), "410 after the end")
    check(server.process.wait(60) == 0, "the server ends after the site")
    check("test: the process has ended" in server.process.stderr.read(), "it says so")


def refused(where, words):
    done = subprocess.run([SITE, where, LASTS], capture_output=True, text=True, timeout=60)
    check(done.returncode != 0 and words in done.stderr and done.stderr.count("\n") == 1,
          (where, done.returncode, done.stderr))


def addresses(server):
    for where in ["0.0.0.0:0", "10.1.2.3:80", ":6060", "example.com:80", "[::]:80", "127.0.0.1",
                  "127.0.0.1:", "127.0.0.1:70000", "127.0.0.1:-1", "x", ""]:
        refused(where, "no other machine can reach")
    refused("127.0.0.1:%d" % server.port, "in use")
    path = os.path.join(DIRECTORY, "socket")
    refused("unix:", "missing")
    refused("unix:" + 200 * "a", "too long")
    refused("unix:" + LASTS, "File exists")
    for _ in range(2):
        unix = Server("unix:" + path)
        check(unix.line == "goalloc-view: test at unix:%s\n" % path, unix.line)
        check(stat.S_IMODE(os.stat(path).st_mode) == 0o600, "the mode of the socket")
        refused("unix:" + path, "in use")
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(path)
            s.sendall(b"GET /small HTTP/1.1\r\nHost: anything\r\n\r\n")
            check(split(read_all(s))[0] == 200, "a unix socket")
        # The second time a socket is there that nobody serves.
        unix.process.kill()
        unix.process.wait()
    unix = Server("unix:" + path)
    unix.stop()
    check(not os.path.exists(path), "the socket is removed")


def children(server):
    """Returns the children of the server that live."""
    path = "/proc/%d/task/%d/children" % (server.process.pid, server.process.pid)
    with open(path) as f:
        return f.read().split()


def await_children(server, n):
    for _ in range(3000):
        if len(children(server)) == n:
            return
        time.sleep(0.01)
    check(False, "%d children, not %d" % (len(children(server)), n))


def is_gone(pid):
    try:
        with open("/proc/%s/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def slow_answers(server):
    """While one is made, others are served; who asks for the same gets it, too."""
    request = b"GET /slow?2 HTTP/1.1\r\n" + HOST + b"\r\n"
    with server.connect() as first, server.connect() as second, server.connect() as head:
        first.sendall(request)
        await_children(server, 1)
        second.sendall(request)
        head.sendall(request.replace(b"GET", b"HEAD"))
        check(get(server, b"/small")[0] == 200, "others are served")
        status, fields, body = get(server, b"/slow?3")
        check(status == 503 and int(fields["Retry-After"]) > 0, "another slow answer")
        check(b"/slow?2 is being made" in body, body)
        check(len(children(server)) == 1, "one child is at it")
        answers = [split(read_all(s)) for s in (first, second, head)]
    check(all(status == 200 for status, _, _ in answers), "slow answers")
    check(answers[0][2] == answers[1][2] and re.match(rb"(\d+)\n\1\n$", answers[0][2]), answers)
    check(answers[2][2] == b"" and answers[2][1]["Content-Length"] ==
          answers[0][1]["Content-Length"], "HEAD of a slow answer")
    await_children(server, 0)
    check(get(server, b"/slow?die")[0] == 500, "a child that dies")
    # The last one that waits hangs up.
    with server.connect() as s:
        s.sendall(b"GET /slow?1000 HTTP/1.1\r\n" + HOST + b"\r\n")
        await_children(server, 1)
    await_children(server, 0)
    check(get(server, b"/small")[0] == 200, "the server goes on")


def dies_with_server(how):
    server = Server("127.0.0.1:0")
    with server.connect() as s:
        s.sendall(b"GET /slow?1000 HTTP/1.1\r\n" + HOST + b"\r\n")
        await_children(server, 1)
        pid = children(server)[0]
        how(server.process)
        server.process.wait()
    for _ in range(3000):
        if is_gone(pid):
            return
        time.sleep(0.01)
    check(False, "the child outlives the server")


def main():
    server = Server("127.0.0.1:0")
    for test in [answers, bad_requests, paths, hosts, slow_clients, slow_readers, slow_answers,
                 crowd, addresses]:
        test(server)
    the_end(server)
    dies_with_server(subprocess.Popen.terminate)
    dies_with_server(subprocess.Popen.kill)
    server = Server("[::1]:0") if socket.has_ipv6 else None
    if server is not None and server.line:
        check(server.line.startswith("goalloc-view: test at http://[::1]:"), server.line)
        server.stop()
    os.unlink(LASTS)
    os.rmdir(DIRECTORY)
    print("the server answers, refuses and ends as it should")


main()
