#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""site.py GOALLOC_VIEW LIBGOALLOC - what goalloc-view serves and saves of a real process."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

VIEW, LIBRARY = sys.argv[1:3]
PRELOADED = {**os.environ, "LD_PRELOAD": LIBRARY, "PYTHONMALLOC": "malloc"}
STARTED = []


def check(condition, what):
    if not condition:
        raise SystemExit("FAILED: " + str(what))


def start(command, **more):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **more)
    STARTED.append(process)
    return process


def python(text, **more):
    """Starts python3 with goalloc. It has run the text, and waits for a line."""
    process = start([sys.executable, "-c", text + "\nprint('ready', flush=True); input()"],
                    env=PRELOADED, stdin=subprocess.PIPE, **more)
    check(process.stdout.readline() == "ready\n", "python3 does not run")
    return process


def fetch(url):
    """Returns status, type and body."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read().decode()


def saved(text):
    """Returns the data inside a page, by name, and checks that the page needs nothing else."""
    data = re.findall(r'<script type="application/json" data-name="(\w+)">(.*?)</script>', text,
                      re.S)
    rest = re.sub(r'<script type="application/json".*?</script>', "", text, flags=re.S)
    check(not re.search(r"""(src|href)\s*=\s*["'](?!data:)|@import|url\(|https?://""", rest),
          "the page asks for something from outside")
    check("@DATA@" not in text and text.startswith("<!DOCTYPE html>"), "the page is whole")
    return {name: json.loads(body) for name, body in data}


def without_time(stats):
    return {key: value for key, value in stats.items() if key != "time"}


def serves(process):
    server = start([VIEW, "--serve", "127.0.0.1:0", str(process.pid)], stderr=subprocess.PIPE)
    url = re.search(r"http://\S+/", server.stdout.readline()).group(0)
    # A stopped process has the same figures for everybody.
    process.send_signal(signal.SIGSTOP)
    while open("/proc/%d/stat" % process.pid).read().rsplit(")", 1)[1].split()[0] != "T":
        time.sleep(0.01)
    for path, command in [("stats.json", "--json"), ("heap.json", "--json=heap")]:
        status, kind, body = fetch(url + path)
        check((status, kind) == (200, "application/json"), (path, status, kind, body[:200]))
        printed = subprocess.run([VIEW, command, str(process.pid)], capture_output=True,
                                 text=True, check=True).stdout
        check(without_time(json.loads(body)) == without_time(json.loads(printed)), path)
    status, kind, body = fetch(url)
    check(status == 200 and kind.startswith("text/html") and saved(body) == {}, "the page")
    status, kind, body = fetch(url + "metrics")
    check(status == 200 and kind.startswith("text/plain") and "goalloc_" in body, "metrics")
    status, _, body = fetch(url + "nothing")
    check(status == 404 and "/stats.json" in body, "a wrong path says which are right")
    process.send_signal(signal.SIGCONT)
    return server, url


def ends(process, server, url):
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    status = 200
    while status == 200 and time.monotonic() < deadline:
        status, _, body = fetch(url + "stats.json")
    check(status == 410 and "ended" in body, (status, body))
    check(server.wait(60) == 0, "the server outlives the process")


def saves(process, directory):
    file = os.path.join(directory, "page.html")
    subprocess.run([VIEW, "--html", file, str(process.pid)], check=True)
    data = saved(open(file).read())
    check(data["stats"]["pid"] == process.pid, "the process id")
    spans = sum(len(a["spans"]) for a in data["heap"]["arenas"])
    classes = sum(c["spans"] for c in data["stats"]["classes"])
    check(0 < classes <= spans, ("spans", classes, spans))
    printed = subprocess.run([VIEW, "--html", "-", str(process.pid)], capture_output=True,
                             text=True, check=True).stdout
    check("stats" in saved(printed), "the page on standard output")
    for wrong in ["/no/such/page.html", directory, "/dev/full"]:
        done = subprocess.run([VIEW, "--html", wrong, str(process.pid)], capture_output=True,
                              text=True)
        check(done.returncode == 1 and done.stderr.count("\n") == 1 and wrong in done.stderr,
              (wrong, done))


ENDINGS = {
    # name: status, program
    "exit": (7, "import sys; sys.exit(7)"),
    "signal": (-signal.SIGSEGV, "import os; os.kill(os.getpid(), 11)"),
    "another thread": (5, "import os, threading, time\n"
                       "threading.Thread(target=lambda: os._exit(5)).start(); time.sleep(60)"),
    "first thread first": (0, "import ctypes, threading, time\n"
                           "threading.Thread(target=lambda: time.sleep(.3)).start()\n"
                           "ctypes.CDLL(None).pthread_exit(None)"),
    "children": (3, "import os, sys\n"
                 "check = os.fork()\n"
                 "os._exit(9) if check == 0 else None\n"
                 "assert os.waitstatus_to_exitcode(os.wait()[1]) == 9\n"
                 "try: os.wait()\n"
                 "except ChildProcessError: sys.exit(3)"),
}

# At these ends python3 frees nothing.
ABRUPT = ["signal", "another thread"]


def attends(directory):
    """A page of a program's end, however it ends, and the program as it would be without."""
    for name, (status, text) in ENDINGS.items():
        file = os.path.join(directory, name + ".html")
        # goalloc-view itself has libc's malloc.
        process = subprocess.Popen([VIEW, "--html", file, "--", "env", "LD_PRELOAD=" + LIBRARY,
                                    "PYTHONMALLOC=malloc", sys.executable, "-c",
                                    "keep = [bytes(i % 999) for i in range(50000)]\n" + text])
        check(process.wait(120) == status, (name, process.returncode, status))
        # It is there when the program's parent learns of the end.
        data = saved(open(file).read())
        live = data["stats"]["live_bytes"]
        check(live > (20e6 if name in ABRUPT else 1000), (name, live))
    for command, status in [("/no/such/program", 127), (directory, 126)]:
        file = os.path.join(directory, "none.html")
        done = subprocess.run([VIEW, "--html", file, "--", command], capture_output=True,
                              text=True)
        check(done.returncode == status and done.stderr.count("\n") == 1, done)
        check(not os.path.exists(file), "an empty page is left")


def main():
    process = python("keep = ['<script>&\"' * i for i in range(2000)]")
    try:
        with tempfile.TemporaryDirectory(prefix="goalloc-site-") as directory:
            server, url = serves(process)
            saves(process, directory)
            ends(process, server, url)
            attends(directory)
    finally:
        for started in STARTED:
            if started.poll() is None:
                started.kill()
                started.wait()
    print("the process is served and saved as it is, until and at its end")


main()
