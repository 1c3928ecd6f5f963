#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""site.py GOALLOC_VIEW LIBGOALLOC - what goalloc-view serves and saves of a real process."""

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
sys.dont_write_bytecode = True
from protobuf import fields, packed  # noqa: E402

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


def sums_of(profile):
    """Returns the sums of the values of a profile's samples. Values may be negative."""
    sums = [0] * 4
    for sample in map(fields, fields(gzip.decompress(profile))[2]):
        numbers = [value - (value >> 63 << 64) for value in packed(sample[2][0])]
        sums = [a + b for a, b in zip(sums, numbers)]
    return sums


STEPS = """
import sys
old = [bytes(1000000) for _ in range(400)]
new = []
print('ready', flush=True)
for line in sys.stdin:
    new.append(bytes(1000000))
    del old[-2:]
    print('done', flush=True)
"""


def profiles_of_seconds():
    """A profile of some seconds tells what happened in them, while the server serves others."""
    process = start([sys.executable, "-c", STEPS], stdin=subprocess.PIPE,
                    env={**PRELOADED, "GOALLOC": "profile=/dev/null,memprofilerate=16384"})
    check(process.stdout.readline() == "ready\n", "python3 does not run")
    server = start([VIEW, "--serve", "127.0.0.1:0", str(process.pid)], stderr=subprocess.PIPE)
    url = re.search(r"http://\S+/", server.stdout.readline()).group(0)
    for wrong in ["0", "-1", "x", "1x", "", "9999999"]:
        status, _, body = fetch(url + "debug/pprof/heap?seconds=" + wrong)
        check(status == 400 and body.count("\n") == 1 and "86400" in body, (wrong, body))
    got, steps = [], 0

    def ask():
        with urllib.request.urlopen(url + "debug/pprof/heap?debug=0&seconds=3", timeout=60) as a:
            got.append((a.headers["Content-Type"], a.read()))

    asker = threading.Thread(target=ask)
    asker.start()
    while asker.is_alive() and steps < 200:
        process.stdin.write("step\n")
        process.stdin.flush()
        check(process.stdout.readline() == "done\n", "a step")
        steps += 1
        check(fetch(url + "stats.json")[0] == 200, "others wait")
        time.sleep(0.05)
    asker.join()
    check(len(got) == 1 and got[0][0] == "application/octet-stream", got)
    _, alloc, _, live = sums_of(got[0][1])
    # Each step keeps 1 MB more, and frees 2 MB. The looks come between any two instructions.
    check(0.9e6 <= alloc <= 1e6 * steps * 1.1 + 1e6, (alloc, steps))
    check(-alloc * 1.1 - 4e6 <= live <= -alloc * 0.9 + 4e6, (live, alloc))
    with urllib.request.urlopen(url + "debug/pprof/heap", timeout=60) as answer:
        whole = sums_of(answer.read())
    check(whole[1] > 380e6 and whole[3] > 0, whole)
    process.kill()
    process.wait()
    server.wait(60)


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
            profiles_of_seconds()
    finally:
        for started in STARTED:
            if started.poll() is None:
                started.kill()
                started.wait()
    print("the process is served and saved as it is, until and at its end")


main()
