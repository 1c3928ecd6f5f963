#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""view.py CASE VIEW PROGRAM [LIBRARY] - tests of goalloc-view, as users use it.

PROGRAM is viewed.c in one of its builds. With LIBRARY that is preloaded. Exits with 77, and says
why, where the machine lacks something.
"""
import json
import os
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

case, view, program = sys.argv[1:4]
library = sys.argv[4] if len(sys.argv) > 4 else None
tmp = tempfile.mkdtemp(prefix="goalloc-view-")


def skip(why):
    print("skipped: " + why)
    shutil.rmtree(tmp, ignore_errors=True)
    sys.exit(77)


def check(truth, *what):
    if not truth:
        raise AssertionError(" ".join(str(w) for w in what))


class Program:
    """The program, and what it has printed."""

    def __init__(self, *args, options="", preload=None, user=None, what=None):
        env = {k: v for k, v in os.environ.items() if not k.startswith("GOALLOC")}
        if options:
            env["GOALLOC"] = options
        env.pop("LD_PRELOAD", None)
        command = [what or program, *args]
        if preload or library:
            # Without a shell or anything else between.
            env["LD_PRELOAD"] = preload or library
        kept = {}
        if user is not None:
            kept = {"user": user, "group": user, "extra_groups": []}
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, cwd=tmp,
                                        stdout=subprocess.PIPE, text=True, **kept)
        self.pid = self.process.pid
        self.values, self.metrics, self.memstats = {}, {}, {}
        for line in self.process.stdout:
            words = line.split()
            if words[0] == "end":
                break
            if words[0] == "metric":
                self.metrics[words[1]] = int(words[2])
            elif words[0] == "memstats":
                self.memstats[words[1]] = int(words[2])
            else:
                self.values[words[0]] = int(words[1], 0)
        self.pid = self.values.get("pid", self.pid)

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        if self.pid != self.process.pid:
            try:
                os.kill(self.pid, signal.SIGKILL)
            except OSError:
                pass
        self.process.kill()
        self.process.wait()


def look(*args, status=0, user=None, stderr=""):
    """Runs goalloc-view. stderr is a pattern that all of its standard error has to be."""
    kept = {}
    if user is not None:
        kept = {"user": user, "group": user, "extra_groups": []}
    done = subprocess.run([view, *map(str, args)], capture_output=True, text=True, timeout=60,
                          cwd="/", **kept)
    check(done.returncode == status, args, "exits with", done.returncode, done.stderr)
    check(re.fullmatch(stderr, done.stderr), args, "says", repr(done.stderr))
    return done.stdout


def line(pattern):
    return "goalloc-view: " + pattern + "\n"


def check_possible(stats):
    """What holds at any moment, also while the program allocates."""
    m = stats["metrics"]
    classes = [v for k, v in m.items() if k.startswith("/memory/classes/") and "total" not in k]
    check(sum(classes) == m["/memory/classes/total:bytes"], "the classes are not the total")
    for k in stats["classes"]:
        check(k["live"] <= k["slots"], k)
        check(k["live_bytes"] <= k["bytes"], k)
        check(k["tiny"] or k["objects"] == k["live"], k)
    check(stats["live_bytes"] <= stats["mapped_bytes"], "more is live than mapped")
    check(stats["live_bytes"] + stats["slack_bytes"] + stats["free_bytes"] +
          stats["released_bytes"] + stats["metadata_bytes"] == stats["mapped_bytes"])
    owned = sum(t["live_bytes"] for t in stats["threads"])
    check(owned <= stats["live_bytes"], "threads own more than there is")


def check_heap(heap, stats=None):
    slots = spans = 0
    for arena in heap["arenas"]:
        used = [0] * arena["pages"]
        check(int(arena["address"], 16) % (64 << 20) == 0)
        for page, pages, sizeclass, scan, live, of in arena["spans"]:
            check(live <= of and sizeclass < 68 and scan in (0, 1))
            used[page:page + pages] = [1] * pages
            slots += of
            spans += pages
        for page, pages, released in arena["free"]:
            check(released in (0, pages) and not any(used[page:page + pages]))
            used[page:page + pages] = [1] * pages
        for page, pages in arena["held"]:
            check(not any(used[page:page + pages]))
        check(len(used) == arena["pages"])
    if stats:
        check(spans * heap["page_size"] == stats["live_bytes"] + stats["slack_bytes"])


def check_agrees(p, *target):
    """goalloc-view says what the library said."""
    stats = json.loads(look("--json", *target))
    for name, value in p.metrics.items():
        check(stats["metrics"][name] == value, name, value, stats["metrics"][name])
    check(stats["live_bytes"] == p.memstats["HeapAlloc"])
    check(stats["live_objects"] == p.memstats["HeapObjects"])
    check(stats["live_bytes"] + stats["slack_bytes"] == p.memstats["HeapInuse"])
    check(stats["mapped_bytes"] == p.memstats["Sys"])
    check_possible(stats)
    check_heap(json.loads(look("--json=heap", *target)), stats)
    return stats


def check_threads(p, stats, names=True):
    check(len({t["tid"] for t in stats["threads"]} - {0}) >= 4, stats["threads"])
    threads = {t["name"]: t for t in stats["threads"]}
    if not names:
        held = sorted(t["live_bytes"] for t in stats["threads"])
        check(len(held) >= 4, held)
        return
    for n in range(1, 4):
        t = threads["holder%d" % n]
        # Spans that the main thread did not use while the heap grew may be its own now.
        check(1000 * n <= t["live_objects"] <= 1000 * n + 500, t)
        check(208 * 1000 * n <= t["live_bytes"], t)
    tids = {int(t) for t in os.listdir("/proc/%d/task" % p.pid)}
    check({t["tid"] for t in stats["threads"]} <= tids | {0}, stats["threads"])


def check_objects(p, *target):
    v = p.values
    text = look("--object", hex(v["held"] + 8), *target)
    check(re.search(r"^object +%#x, 1008|^object +%#x, 1024" % (v["held"], v["held"]), text,
                    re.M), text)
    check("the address is byte 8 of it" in text, text)
    check(re.search(r"%#x, byte 0 of the object of 64 bytes at %#x, to byte 8" %
                    (v["holder"], v["holder"]), text), text)
    text = look("--object", "%x" % v["freed"], *target)
    check(re.search(r"^slot +%#x, 3072 bytes, slot \d+, free" % v["freed"], text, re.M), text)
    text = look("--object", hex(v["big"] + 500000), *target)
    check(re.search(r"^object +%#x, 1048576 bytes, slot 0, live" % v["big"], text, re.M), text)
    check(re.search(r"^ +%#x\b" % v["root"], text, re.M), text)
    check("not in the heap" in look("--object", "0x10", *target))
    # A core does not know the names of threads, and a stripped program not those of variables.
    text = look("--object", hex(v["stacked"]), *target)
    check(re.search(r"^ +0x[0-9a-f]+, in the stack of thread \d+( holder1)?$", text, re.M), text)


def check_page(p, *target):
    text = look(*target)
    check(re.match(r"goalloc: (core of )?viewed, pid %d, 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC, "
                   r"(up \d+ s, )?goalloc \d+\.\d+\.\d+\n" % p.pid, text), text[:100])
    check(re.search(r"^  live objects .* %d objects" % p.memstats["HeapObjects"], text, re.M),
          text)
    check("beyond what was asked for" in text)
    text = look("--map", *target)
    check(max(len(s) for s in text.splitlines()) <= 80, text)
    legend = sum(int(n) for n in re.findall(r"^\S +(\d+) pages? ", text, re.M))
    check(legend * 8192 == p.metrics["/memory/classes/total:bytes"] - metadata(p), legend)


def metadata(p):
    return sum(v for k, v in p.metrics.items() if k.startswith("/memory/classes/metadata/"))


# --- cases ---

def case_agree():
    with Program("quiet") as p:
        stats = check_agrees(p, p.pid)
        check_threads(p, stats)
        check_objects(p, p.pid)
        check_page(p, p.pid)
        check(re.search(r"^ +%#x, const_holder_of_big of viewed$" % p.values["root"],
                        look("--object", hex(p.values["big"]), p.pid), re.M), "a variable")
        # A stopped process serves as well.
        os.kill(p.pid, signal.SIGSTOP)
        check_agrees(p, p.pid)
    for options in ("stats=out", "hardened=1", "memlimit=1GiB", "sbrk=1", "scavenge=0",
                    "hardened=2", "guardrate=10", "leakcheck=1"):
        with Program("quiet", options=options) as p:
            stats = check_agrees(p, p.pid)
            check((stats["limit_bytes"] is None) == ("memlimit" not in options))
            counts = options.split("=")[0] in ("stats", "guardrate", "leakcheck")
            check(stats["counting"] == counts, options)
    with Program("fork") as p:
        check_threads(p, check_agrees(p, p.pid))


def case_found():
    with Program("quiet") as p:
        check_agrees(p, p.pid)


def case_metrics():
    with Program("quiet", options="stats=out") as p:
        text = look("--metrics", p.pid)
        seen, typed = {}, set()
        for s in text.splitlines():
            m = re.fullmatch(r"# TYPE (goalloc_[a-z0-9_]+) (gauge|counter)", s)
            if m:
                check(m[1] not in typed, s)
                typed.add(m[1])
                continue
            m = re.fullmatch(r"(goalloc_[a-z0-9_]+)(\{[^{}]*\})? (\d+)", s)
            check(m and m[1] in typed and (m[1], m[2]) not in seen, s)
            seen[m[1], m[2]] = int(m[3])
        check(seen["goalloc_gc_heap_live_bytes", None] == p.memstats["HeapAlloc"])
        check(seen["goalloc_gc_heap_allocs_objects_total", None] ==
              p.metrics["/gc/heap/allocs:objects"])
        live = sum(v for (k, _), v in seen.items() if k == "goalloc_class_live_bytes")
        check(live == p.memstats["HeapAlloc"])
        check(any('name="holder2"' in (labels or "") for _, labels in seen))


def case_top():
    with Program("storm", "2") as p:
        top = subprocess.Popen([view, "--top=1", str(p.pid)], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
        out = ""
        while out.count("since first") < 6:
            more = top.stdout.readline()
            check(more, out)
            out += more
        p.process.kill()
        p.process.wait()
        more, err = top.communicate(timeout=60)
        check(top.returncode == 0, top.returncode, err)
        check(err.count("\n") == 1 and err.startswith("goalloc-view: process"), err)
        check(max(len(s) for s in out.splitlines()) <= 80, out)


def case_sampled():
    with Program("quiet", options="profile=out.pb.gz,memprofilerate=1") as p:
        text = look("--object", hex(p.values["held"]), p.pid)
        check(", sampled" in text and "allocated by\n" in text, text)
        check(re.search(r"^ +0x[0-9a-f]+ \(viewed", text, re.M), text)


def case_storm():
    with Program("storm", "4") as p:
        for i in range(100):
            options = [["--json"], ["--json=heap"], ["--map"], []][0 if i % 8 < 5 else i % 4]
            text = look(*options, p.pid, stderr=r"(goalloc-view: \d+ records? .*\n)*")
            if options == ["--json"]:
                check_possible(json.loads(text))
            elif options == ["--json=heap"]:
                check_heap(json.loads(text))


def case_ends():
    """The process ends while it is read: a result, or a line that says so."""
    for i in range(40):
        with Program("storm", "1") as p:
            timer = threading.Timer(0.0005 * (i % 10), p.process.kill)
            timer.start()
            done = subprocess.run([view, "--json", str(p.pid)], capture_output=True, text=True,
                                  timeout=30)
            timer.join()
            check(done.returncode in (0, 1), done)
            if done.returncode == 1:
                check(re.search(r"ended|no such process", done.stderr.splitlines()[-1]) and
                      done.stdout == "", done)
            else:
                check_possible(json.loads(done.stdout))


def check_truncated(p, name, core):
    """A core that ends early is read as far as it goes."""
    length = os.path.getsize(core)
    cut = os.path.join(tmp, "cut")
    for k in range(0, 21):
        shutil.copyfile(core, cut)
        os.truncate(cut, length * k // 21)
        for option in ["--json"], ["--object", hex(p.values["held"])]:
            done = subprocess.run([view, *option, name, cut], capture_output=True, text=True,
                                  timeout=60)
            check(done.returncode in (0, 1, 2), done)
            check(done.returncode == 0 or done.stderr.startswith("goalloc-view: "), done)
            if done.returncode == 0 and option == ["--json"]:
                check_possible(json.loads(done.stdout))
    os.unlink(cut)


def case_gcore():
    if not shutil.which("gcore"):
        skip("there is no gcore")
    with Program("quiet") as p:
        core = os.path.join(tmp, "core")
        done = subprocess.run(["gcore", "-o", core, str(p.pid)], capture_output=True, text=True)
        core += ".%d" % p.pid
        if not os.path.exists(core):
            skip("gcore writes no core: " + done.stderr[-200:])
    stats = check_agrees(p, program, core)
    check(stats["core"] and stats["program"] == "viewed", stats["program"])
    check_threads(p, stats, names=False)
    check_objects(p, program, core)
    check_page(p, program, core)
    check_truncated(p, program, core)


def case_kernel_core():
    pattern = open("/proc/sys/kernel/core_pattern").read().strip()
    if pattern.startswith("|") or "/" in pattern or not pattern:
        skip("the kernel gives cores to " + repr(pattern))
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)
    except ValueError:
        skip("cores are not allowed here")
    with Program("core") as p:
        p.process.wait()
    cores = [f for f in os.listdir(tmp) if os.path.getsize(os.path.join(tmp, f)) > 100000]
    if not cores:
        skip("the kernel wrote no core")
    core = os.path.join(tmp, cores[0])
    stats = check_agrees(p, program, core)
    check_threads(p, stats, names=False)
    check_objects(p, program, core)
    check_truncated(p, program, core)


def other_library():
    """A copy of the library, or of the program, with another layout word."""
    name = library or program
    data = bytearray(open(name, "rb").read())
    at = data.find(struct.pack("<Q", 0x77656976636f6c67))
    check(at >= 0, "there is no root record")
    data[at + 8] ^= 1
    copy = os.path.join(tmp, os.path.basename(name))
    with open(copy, "wb") as f:
        f.write(data)
    os.chmod(copy, 0o755)
    return copy


def narrow_program():
    """A 32-bit program that waits."""
    code = bytes.fromhex("b81d000000cd80ebf7")
    head = struct.pack("<16sHHIIIIIHHHHHH", b"\x7fELF\1\1\1", 2, 3, 1, 0x8048054, 52, 0, 0, 52, 32,
                       1, 40, 0, 0)
    segment = struct.pack("<8I", 1, 0, 0x8048000, 0x8048000, 84 + len(code), 84 + len(code), 5,
                          4096)
    name = os.path.join(tmp, "narrow")
    with open(name, "wb") as f:
        f.write(head + segment + code)
    os.chmod(name, 0o755)
    return name


def case_errors():
    look(status=1, stderr=line("which process.*"))
    look("x", status=1, stderr=line("x is no process number.*"))
    look("--nothing", "1", status=1, stderr=line("there is no option --nothing.*"))
    look("--json=x", os.getpid(), status=1, stderr=line("--json=x: .*"))
    look("--json", "--map", "1", status=1, stderr=line("--json and --map cannot .*"))
    look("--object", status=1, stderr=line("--object needs a value.*"))
    look("--object", "zz", os.getpid(), status=1, stderr=line("--object zz: .*"))
    look("--top=0", os.getpid(), status=1, stderr=line("--top=0: .*"))
    look("1", "2", "3", status=1, stderr=line("3: there is one argument too many"))
    look("4194305", status=1, stderr=line("process 4194305: there is no such process"))
    look(os.getpid(), status=1, stderr=line(r"process \d+ \(.*\): there is no goalloc in it.*"))
    look("x", "/nowhere", status=1, stderr=line("/nowhere: No such file or directory"))
    look("x", tmp, status=1, stderr=line(".*: it is not a regular file"))
    look("x", view, status=1, stderr=line(".*: it is a program or library, not a core file"))
    look("x", __file__, status=1, stderr=line(".*: it is not a core file"))
    for name, magic in ("gzip", b"\x1f\x8b\x08"), ("zstd", b"\x28\xb5\x2f\xfd"), \
            ("xz", b"\xfd7zXZ\0"), ("lz4", b"\x04\x22\x4d\x18"), ("bzip2", b"BZh9"):
        with open(os.path.join(tmp, "packed"), "wb") as f:
            f.write(magic + bytes(300))
        look("x", f.name, status=1, stderr=line(".*packed: it is compressed by " + name + ".*"))
    ended = subprocess.Popen(["true"])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    look(ended.pid, status=1, stderr=line(r".*\(true\): it has ended, and waits for its parent"))
    ended.wait()
    if os.path.exists("/proc/2/comm") and open("/proc/2/comm").read() == "kthreadd\n":
        look(2, status=1, stderr=line(".*a thread of the kernel"))
    check("usage" in look("--help") and "goalloc-view " in look("--version"))
    check(max(len(s) for s in look("--help").splitlines()) <= 80)
    other = other_library()
    with Program("quiet", preload=library and other, what=None if library else other) as p:
        look(p.pid, status=2, stderr=line(r"process \d+ \(viewed.*\): it has goalloc \d.*"))
    try:
        narrow = subprocess.Popen([narrow_program()])
    except OSError:
        print("32-bit programs cannot be tested here")
        return
    time.sleep(0.1)
    if narrow.poll() is None:
        look(narrow.pid, status=1, stderr=line(".*: it is a 32-bit process.*"))
    else:
        print("32-bit programs do not run here")
    narrow.kill()


def case_refused():
    if os.getuid() != 0:
        skip("this takes root, to look as others do")
    global view, program
    # Others may not reach the build folder.
    os.chmod(tmp, 0o777)
    for name in "view", "program":
        copy = os.path.join(tmp, os.path.basename(globals()[name]))
        shutil.copy(globals()[name], copy)
        globals()[name] = copy
    preload = None
    if library:
        preload = shutil.copy(library, tmp)
    with Program("quiet", preload=preload) as p:
        look(p.pid, user=65534, status=1, stderr=line(r".*: it belongs to user 0: run .*"))
    with Program("undumpable", preload=preload, user=65534) as p:
        look(p.pid, user=65534, status=1, stderr=line(".*made itself undumpable.*"))
    with Program("quiet", preload=preload, user=65534, options="view=1") as p:
        check_agrees(p, p.pid)
        look(p.pid, user=65534)
    if not os.path.exists("/proc/sys/kernel/yama/ptrace_scope"):
        print("there is no Yama here")
        return
    with Program("quiet", preload=preload, user=65534) as p:
        scope = int(open("/proc/sys/kernel/yama/ptrace_scope").read())
        look(p.pid, user=65534, status=1 if scope else 0,
             stderr=line(".*ptrace_scope is.*") if scope else "")


def case_yama():
    """What Yama's settings make goalloc-view say. The kernel refuses, because goalloc-view has
    fewer capabilities than the process, and the settings are files of ours."""
    if os.getuid() != 0 or not shutil.which("setpriv") or not shutil.which("unshare"):
        skip("this takes root, setpriv and unshare")
    refuse = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    with Program("quiet") as p:
        for scope, says in (0, "the kernel does not let this user look: .*"), \
                (1, "only its ancestors may look .*ptrace_scope is 1.*GOALLOC=view=1.*"), \
                (2, "it takes CAP_SYS_PTRACE .*ptrace_scope is 2.*"), \
                (3, "nobody may look until .*ptrace_scope is 3.*"):
            done = subprocess.run(
                ["unshare", "-m", "sh", "-c",
                 "mount -t tmpfs none /proc/sys/kernel && mkdir /proc/sys/kernel/yama && "
                 "echo %d >/proc/sys/kernel/yama/ptrace_scope && exec \"$@\" || exit 99" % scope,
                 "sh", *refuse, view, str(p.pid)], capture_output=True, text=True)
            if done.returncode == 99 or "unshare:" in done.stderr or "setpriv:" in done.stderr:
                skip("mounts or capabilities do not work here: " + done.stderr[-200:])
            if done.returncode == 0:
                skip("there are no capabilities to lose here")
            check(done.returncode == 1, done)
            check(re.fullmatch(line(r"process \d+.*: " + says), done.stderr),
                  done.stderr)


def case_threads():
    """A process is found by the number of any of its threads, and when its first one has ended."""
    with Program("quiet") as p:
        whole = json.loads(look("--json", p.pid))
        for tid in os.listdir("/proc/%d/task" % p.pid):
            check(json.loads(look("--json", tid))["pid"] == p.pid == whole["pid"], tid)
    with Program("leaderless") as p:
        while open("/proc/%d/stat" % p.pid).read().rsplit(")", 1)[1].split()[0] != "Z":
            time.sleep(0.01)
        stats = json.loads(look("--json", p.pid))
        check(stats["live_objects"] > 0, stats)
        text = look("--leaks", p.pid)
        check("could not be stopped" not in text and "likely" not in text, text)


def case_by_file():
    """Where process_vm_readv(2) is refused, memory is read through /proc/PID/mem."""
    if not shutil.which("strace"):
        skip("there is no strace")
    with Program("quiet") as p:
        trace = os.path.join(tmp, "trace")
        done = subprocess.run(["strace", "-o", trace, "-e",
                               "inject=process_vm_readv:error=EPERM", view, "--json",
                               str(p.pid)], capture_output=True, text=True)
        text = open(trace).read() if os.path.exists(trace) else ""
        if "INJECTED" not in text:
            skip("strace does not work here: " + done.stderr[-100:])
        check(done.returncode == 0, done.stderr)
        check(json.loads(done.stdout)["live_bytes"] == p.memstats["HeapAlloc"])


def case_declares():
    """GOALLOC=view=1 declares every process a tracer, also in children; without it none is."""
    if not shutil.which("strace"):
        skip("there is no strace")
    for options, times in ("", 0), ("view=1", 2):
        env = dict(os.environ, GOALLOC=options)
        trace = os.path.join(tmp, "trace" + options)
        if library:
            set_library = ["-E", "LD_PRELOAD=" + library]
        else:
            set_library = []
        done = subprocess.run(["strace", "-f", "-o", trace, "-e", "trace=prctl", *set_library,
                               program, "fork"], env=env, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)
        text = open(trace).read() if os.path.exists(trace) else ""
        if "exited with" not in text:
            skip("strace does not work here: " + done.stderr[-100:])
        check(text.count("PR_SET_PTRACER, ") == times, text)


try:
    globals()["case_" + case]()
except subprocess.TimeoutExpired as e:
    print("goalloc-view hangs:", e)
    sys.exit(1)
finally:
    shutil.rmtree(tmp, ignore_errors=True)
