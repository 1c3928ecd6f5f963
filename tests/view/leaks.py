#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
leaks.py - goalloc-view --leaks and --pprof look at programs that leak what they say.

  leaks.py VIEW LIBRARY LEAKY CASE

LEAKY is leaky.cc without goalloc in it; LIBRARY is preloaded. Exit status 77: processes may not be
looked at here, or a tool is missing.
"""
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SKIP = 77
VIEW, LIBRARY, LEAKY, CASE = sys.argv[1:5]
PATIENCE = 100

# What each thread of leaky leaks: bytes of a slot, objects, of these direct.
LEAKED = {48: (10, 1), 3072: (5, 5)}


def fail(what):
    sys.exit("FAILED: " + what)


def check(condition, what):
    if not condition:
        fail(what)


class Program:
    """A program with goalloc that runs until end()."""

    def __init__(self, argv, options="", ready=True):
        env = dict(os.environ, LD_PRELOAD=LIBRARY, GOALLOC=options)
        self.process = subprocess.Popen(argv, env=env, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        if ready:
            check(self.process.stdout.readline() == "ready\n", "%s is not ready" % argv[0])

    def status(self, field):
        with open("/proc/%d/status" % self.pid) as f:
            return re.search(r"^%s:\s*(\S+)" % field, f.read(), re.M).group(1)

    def wait_for_state(self, letters):
        end = time.monotonic() + PATIENCE
        while self.status("State") not in letters:
            check(time.monotonic() < end, "state %s, not %s" % (self.status("State"), letters))
            time.sleep(0.01)

    def report(self, file):
        """Returns the report of leaks that a signal asks for."""
        os.kill(self.pid, signal.SIGUSR1)
        end = time.monotonic() + PATIENCE
        text = ""
        while "leaked:" not in text:
            check(time.monotonic() < end, "no report from inside")
            time.sleep(0.02)
            if os.path.exists(file):
                with open(file) as f:
                    text = f.read()
        return text

    def end(self):
        self.process.stdin.close()
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            fail("%d does not end: it is stopped or broken" % self.pid)
        check(status == 0, "the program ended with %d" % status)


def view(*args):
    """Runs goalloc-view and returns status, output and complaints."""
    run = subprocess.run([VIEW] + [str(a) for a in args], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
    if run.returncode == 1 and re.search("CAP_SYS_PTRACE|does not let", run.stderr):
        print(run.stderr)
        sys.exit(SKIP)
    return run.returncode, run.stdout, run.stderr


def must(*args):
    status, out, err = view(*args)
    check(status == 0 and err == "", "%s: status %d: %s" % (args, status, err))
    return out


def totals(text):
    m = re.search(r"leaked: (\d+) objects?, (\d+) bytes?; live: (\d+) objects?, (\d+) bytes?",
                  text)
    check(m is not None, "no totals in " + text)
    return tuple(int(n) for n in m.groups())


def leaks_of(*target):
    """bytes of an object -> objects, direct ones; only where no stack is known"""
    data = json.loads(must("--json=leaks", *target))
    return data, {leak["bytes"] // leak["objects"]: (leak["objects"], leak["direct_objects"])
                  for leak in data["leaks"]}


def check_exact(found, nthreads):
    want = {size: (n * nthreads, direct * nthreads) for size, (n, direct) in LEAKED.items()}
    check(found == want, "found %s, not %s" % (found, want))


def case_quiet():
    """All that a program leaks is found, and nothing that it keeps."""
    program = Program([LEAKY, "3"])
    data, found = leaks_of(program.pid)
    check_exact(found, 3)
    check(not data["likely"], "the process was stopped")
    text = must("--leaks", program.pid)
    check(re.match(r"goalloc: leaks of view_leaky, pid %d, 20.* UTC, up \d+ s, goalloc 1\." %
                   program.pid, text), text)
    check(totals(text)[:2] == (45, 3 * (10 * 48 + 5 * 3072)), text)
    check("leak: 15 objects, 46080 bytes, 3072 bytes each" in text, text)
    check("leak: 30 objects, 1440 bytes, of these 3 objects, 144 bytes direct" in text, text)
    text = must("--leaks", "--live", program.pid)
    # Each thread has an object that perhaps only a register leads to.
    check(45 <= totals(text)[0] <= 48 and "the process ran on" in text, text)
    program.end()


def case_inside():
    """The leak finder inside and this one agree, in numbers and in stacks."""
    with tempfile.TemporaryDirectory() as scratch:
        report = os.path.join(scratch, "inside")
        program = Program([LEAKY, "2"], "leakcheck=2,signal=USR1,leakreport=" + report)
        outside = must("--leaks", program.pid)
        inside = program.report(report)
        program.process.send_signal(signal.SIGKILL)
        program.process.wait()
    check(totals(inside)[:2] == totals(outside)[:2], inside + outside)
    groups = re.compile(r"leak: (\d+ objects?, \d+ bytes?(?:, of these .* direct)?), the first at "
                        r"(\S+), allocated at\n((?:    .*\n)+)")
    first, second = groups.findall(inside), groups.findall(outside)
    check([g[:2] for g in first] == [g[:2] for g in second] and len(first) == 2,
          inside + outside)
    for theirs, ours in zip(first, second):
        name = "leak_chain" if "of these" in ours[0] else "leak_blocks"
        check(name in theirs[2].splitlines()[0] and name in ours[2].splitlines()[0],
              inside + outside)


def case_ignored():
    """What goalloc_ignore() was called for, and all that it leads to, is no leak."""
    program = Program([LEAKY, "1", "ignored"], ready=False)
    first = program.process.stdout.readline().strip()
    check(program.process.stdout.readline() == "ready\n", "not ready")
    _, found = leaks_of(program.pid)
    check(found == {3072: LEAKED[3072]}, "found %s" % found)
    text = must("--object", first, program.pid)
    check(", live, ignored" in text, text)
    program.end()


def case_suppressed():
    """Inside and outside the same leaks are suppressed; outside also by file and full name."""
    with tempfile.TemporaryDirectory() as scratch:
        report, known = os.path.join(scratch, "inside"), os.path.join(scratch, "known")

        def write(lines):
            with open(known, "w") as f:
                f.write(lines)

        # The name of a C++ function, which the symbol table has as _ZL10leak_chainv.
        write("# two lines\nleak:^leak_chain\n")
        program = Program([LEAKY, "2"], "leakcheck=2,signal=USR1,leakreport=%s,suppressions=%s" %
                          (report, known))
        outside = must("--leaks", "--suppressions", known, program.pid)
        data = json.loads(must("--json=leaks", "--suppressions", known, program.pid))
        check(data["suppressed"] == [{"line": 2, "objects": 20, "bytes": 960}] and
              data["leaked_objects"] == 10, str(data))
        write("leak:leak_blocks()$\nleak:/leaky.cc$\nleak:view_leaky")
        all_of_them = must("--leaks", "--suppressions", known, program.pid)
        check(totals(all_of_them)[0] == 0, all_of_them)
        if "leaky.cc" in must("--leaks", program.pid):
            check("10 objects, 30720 bytes by leak:leak_blocks()$, line 1\n" in all_of_them and
                  "20 objects, 960 bytes by leak:/leaky.cc$, line 2\n" in all_of_them,
                  all_of_them)
        write("leak:main\nleek:main\n")
        for file, complaint in ((known, "'%s', line 2: no leak:PATTERN" % known),
                                ("/nowhere", "cannot read '/nowhere': No such file")):
            status, out, err = view("--leaks", "--suppressions", file, program.pid)
            check(status == 1 and out == "" and err.count("\n") == 1 and complaint in err, err)
        # This comes last: while it is made, the list of lost objects is memory of the program.
        inside = program.report(report)
        for text in (inside, outside):
            check(totals(text)[:2] == (10, 2 * 5 * 3072), text)
            check("suppressed: 20 objects, 960 bytes by leak:^leak_chain, line 2\n" in text, text)
        program.process.send_signal(signal.SIGKILL)
        program.process.wait()


def case_storm():
    """While threads allocate, nothing is reported that is not lost, and nobody hangs."""
    program = Program([LEAKY, "4", "storm"])
    for _ in range(5):
        data, found = leaks_of(program.pid)
        check(set(found) <= set(LEAKED), "false leaks: %s" % found)
        for size, (n, _) in found.items():
            check(n <= 4 * LEAKED[size][0], "too many: %s" % found)
        # Old words on a stack may lead to a part of the chains, but not to all.
        check(found.get(3072, (0, 0))[0] >= 10, "too few: %s" % found)
        check(not data["likely"], "the process was stopped")
        data, found = leaks_of("--live", program.pid)
        check(data["likely"], "the process ran on")
    program.end()


def case_let_go():
    """However goalloc-view ends, the process runs on; one that is stopped stays stopped."""
    program = Program([LEAKY, "4", "storm"])
    for i in range(12):
        looker = subprocess.Popen([VIEW, "--leaks", str(program.pid)],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.002 * i)
        looker.send_signal((signal.SIGINT, signal.SIGTERM, signal.SIGKILL)[i % 3])
        looker.wait()
        check(program.status("TracerPid") == "0", "still traced")
        program.wait_for_state("RSD")
    os.kill(program.pid, signal.SIGSTOP)
    program.wait_for_state("T")
    for how in ("--leaks", "--json=leaks"):
        must(how, program.pid)
        program.wait_for_state("T")
    os.kill(program.pid, signal.SIGCONT)
    program.wait_for_state("RSD")
    program.end()


def case_core():
    """A core tells the same, and one that is cut short what it has."""
    if shutil.which("gcore") is None:
        sys.exit(SKIP)
    program = Program([LEAKY, "3"])
    with tempfile.TemporaryDirectory() as scratch:
        core = os.path.join(scratch, "core")
        run = subprocess.run(["gcore", "-o", core, str(program.pid)], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True)
        core += ".%d" % program.pid
        if not os.path.exists(core):
            print(run.stdout)
            sys.exit(SKIP)
        _, found = leaks_of(LEAKY, core)
        check_exact(found, 3)
        check(totals(must("--leaks", LEAKY, core)) == totals(must("--leaks", program.pid)),
              "the core and the process differ")
        size = os.path.getsize(core)
        for part in (0.9, 0.5, 0.1, 0.01):
            os.truncate(core, int(size * part))
            status, out, err = view("--leaks", LEAKY, core)
            check(status in (0, 1, 2) and (status == 0 or err.count("\n") == 1),
                  "a part of a core: %d %s" % (status, err))
    program.end()


def wait_until(program, sampling):
    """Waits until samples are taken, or not. Without a PATH no tool is asked for lines."""
    end = time.monotonic() + PATIENCE
    while True:
        run = subprocess.run([VIEW, "--json=flame", str(program.pid)], env={"PATH": ""},
                             stdout=subprocess.PIPE, check=True, timeout=PATIENCE)
        if json.loads(run.stdout)["sampling"] == sampling:
            return
        check(time.monotonic() < end, "sampling did not %s" % ("begin" if sampling else "end"))
        time.sleep(0.05)


def case_pprof():
    """Samples are taken while goalloc-view asks for them, and not longer."""
    program = Program([LEAKY, "2", "storm"], "memprofilerate=16384")
    with tempfile.TemporaryDirectory() as scratch:
        file = os.path.join(scratch, "p.pb.gz")
        status, _, err = view("--pprof", file, program.pid)
        check(status == 1 and "--seconds" in err and not os.path.exists(file), err)
        must("--seconds", 1, "--pprof", file, program.pid)
        with gzip.open(file) as f:
            profile = f.read()
        check(b"turn" in profile and b"alloc_space" in profile, "no stacks in the profile")
        check(os.listdir(scratch) == ["p.pb.gz"], "more than one file")
        wait_until(program, False)
        flame = json.loads(must("--json=flame", program.pid))
        check(flame["period"] == 16384 and flame["stacks"], "no stacks")
        names = [f if isinstance(f, str) else f["name"]
                 for s in flame["stacks"] for f in s["frames"]]
        check(any("turn" in name for name in names), "names: %s" % set(names))
        check(sum(s["alloc_bytes"] for s in flame["stacks"]) > 1 << 20, "too little")
        # What was read stays readable as text.
        must("--pprof", os.path.join(scratch, "p.heap"), program.pid)
        with open(os.path.join(scratch, "p.heap")) as f:
            check(f.readline().endswith("heap_v2/16384\n"), "no text")
        # An interrupt ends the wait, and the sampling.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            looker = subprocess.Popen([VIEW, "--seconds", "1000", "--pprof", file,
                                       str(program.pid)], stdout=subprocess.PIPE)
            wait_until(program, True)
            looker.send_signal(number)
            check(looker.wait(PATIENCE) == 0, "an interrupted profile is a profile")
            wait_until(program, False)
        # The end of the process is told.
        looker = subprocess.Popen([VIEW, "--seconds", "1000", "--pprof", file,
                                   str(program.pid)], stderr=subprocess.PIPE, text=True)
        wait_until(program, True)
        program.end()
        check(looker.wait(PATIENCE) == 1 and "ended" in looker.stderr.read(),
              "an end is a failure")


def case_programs():
    """Interpreters and servers keep what they have."""
    python = shutil.which("python3")
    source = ("import sys; d = {i: [str(j) for j in range(50)] for i in range(2000)}; "
              "print('ready', flush=True); sys.stdin.read()")
    # Without pymalloc, each object is one of goalloc's.
    os.environ["PYTHONMALLOC"] = "malloc"
    program = Program([python, "-c", source])
    leaked, nbytes, live, _ = totals(must("--leaks", program.pid))
    check(live > 100000 and leaked < live / 100, "python: %d of %d" % (leaked, live))
    must("--leaks", "--live", program.pid)
    program.end()
    if shutil.which("redis-server") is None:
        return
    with tempfile.TemporaryDirectory() as scratch:
        server = Program(["redis-server", "--port", "0", "--save", "", "--unixsocket",
                          os.path.join(scratch, "socket"), "--logfile", "/dev/null"], ready=False)
        end = time.monotonic() + PATIENCE
        while not os.path.exists(os.path.join(scratch, "socket")):
            check(time.monotonic() < end, "redis does not listen")
            time.sleep(0.05)
        leaked, nbytes, live, _ = totals(must("--leaks", server.pid))
        check(live > 1000 and leaked < live / 100, "redis: %d of %d" % (leaked, live))
        server.process.terminate()
        server.process.wait()


globals()["case_" + CASE]()
