#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
check_lines.py BUILD PROGRAMS SOURCE CASE - files and lines in profiles and reports of goalloc-run.

Each case runs once with every tool that goalloc-lines knows and that is installed.
"""
import collections
import glob
import gzip
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

build, programs, source, case = sys.argv[1:5]
sys.path.insert(0, os.path.join(source, "..", "support"))
sys.dont_write_bytecode = True
from protobuf import fields, packed  # noqa: E402

SKIP = 77
TOOLS = ["llvm-symbolizer", "addr2line", "llvm-addr2line"]
Line = collections.namedtuple("Line", "function file line")


def check(condition, what):
    if not condition:
        sys.exit("FAILED: %s" % (what,))


def line_of(file, mark):
    """the number of the line that has this comment"""
    with open(os.path.join(source, file)) as f:
        found = [i for i, text in enumerate(f, 1) if re.search(r"/[*/] %s( \*/)?$" % mark, text)]
    check(len(found) == 1, "lines with %s: %s" % (mark, found))
    return found[0]


class Profile:
    def __init__(self, file):
        with gzip.open(file) as f:
            top = fields(f.read())
        strings = [s.decode() for s in top[6]]
        functions = {}
        for f in map(fields, top[5]):
            check(f[1][0] not in functions, "a function twice")
            # A compiler cache may name the folder of another build.
            file = os.path.basename(strings[f[4][0]]) if f[4] else ""
            functions[f[1][0]] = (strings[f[2][0]], file)
        self.mappings = {}
        for m in map(fields, top[3]):
            self.mappings[strings[m[5][0]]] = [m[n][0] if m[n] else 0 for n in range(7, 11)]
        locations = {}
        for location in map(fields, top[4]):
            lines = [fields(line) for line in location[4]]
            locations[location[1][0]] = [
                Line(*functions[line[1][0]], line[2][0] if line[2] else 0) for line in lines]
        self.stacks = collections.Counter()
        for sample in map(fields, top[2]):
            stack = [line for pc in packed(sample[1][0]) for line in locations[pc]]
            self.stacks[tuple(stack)] += packed(sample[2][0])[1]


def run(arguments, path=None, **options):
    env = {k: v for k, v in os.environ.items() if not k.startswith("GOALLOC")}
    if path:
        env["PATH"] = path
    return subprocess.run([os.path.join(build, "goalloc-run")] + arguments, env=env,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def program(name):
    return os.path.join(programs, name)


def has(profile, *expected):
    """a stack of the profile begins with these lines"""
    for stack in profile.stacks:
        if stack[:len(expected)] == expected:
            return True
    return False


def of_c(path):
    result = run(["--profile", "p.pb.gz", "--profile-rate", "4KiB", program("lines_load")], path)
    check(result.returncode == 0 and result.stderr == "", result)
    check(os.stat("p.pb.gz").st_mode & 0o777 == 0o600, "mode")
    check(os.listdir(".") == ["p.pb.gz"], os.listdir("."))
    p, file = Profile("p.pb.gz"), "lines_load.c"
    check(has(p, Line("make_buffer", file, line_of("lines_load.c", "line of make_buffer")),
              Line("main", file, line_of("lines_load.c", "line of main"))), p.stacks)
    check(has(p, Line("make_inlined", file, line_of("lines_load.c", "line of make_inlined")),
              Line("main", file, line_of("lines_load.c", "another line of main"))), p.stacks)
    check(p.mappings[program("lines_load")] == [1, 1, 1, 1], p.mappings)


def of_cxx(path):
    result = run(["--profile", "p.pb.gz", "--profile-rate", "4KiB", program("lines_load_cxx")],
            path)
    check(result.returncode == 0 and result.stderr == "", result)
    p, file = Profile("p.pb.gz"), "lines_load_cxx.cc"
    check(has(p, Line("shop::basket::take(int, char const*)", file,
                      line_of("lines_load_cxx.cc", "line of take"))), p.stacks)


def of_processes(path):
    """the child of a fork writes beside, and its profile has lines, too"""
    result = run(["--profile", "p.pb.gz", "--profile-rate", "4KiB", program("lines_load"), "x"],
            path)
    check(result.returncode == 0, result)
    check(len(glob.glob("p.[0-9]*.pb.gz")) == 1 and len(os.listdir(".")) == 2, os.listdir("."))
    for file in os.listdir("."):
        check(any(stack[0].line for stack in Profile(file).stacks if stack), file)


def without(path):
    """with no tool, or --no-lines, the profile is as the library writes it"""
    os.mkdir("empty")
    for name in "sh dirname readlink env true head sed od grep cat".split():
        os.symlink(shutil.which(name), os.path.join("empty", name))
    for arguments, where in (([], os.path.abspath("empty")), (["--no-lines"], path)):
        result = run(arguments + ["--profile", "p.pb.gz", "--profile-rate", "4KiB",
                program("lines_load")], where)
        check(result.returncode == 0 and result.stderr == "", result)
        stacks = Profile("p.pb.gz").stacks
        check(any(stack[0].function == "make_buffer" for stack in stacks if stack), stacks)
        check(not any(line.line for stack in stacks for line in stack), stacks)
    # Done later, and done twice, it is the same.
    lines = os.path.join(build, "goalloc-lines")
    for _ in range(2):
        subprocess.run([lines, "p.pb.gz"], check=True)
        check(any(s[0].line for s in Profile("p.pb.gz").stacks if s), "no lines later")
    for text in (b"", b"x", b"\x1f\x8b" + b"\0" * 30, open("p.pb.gz", "rb").read()[:-9]):
        with open("bad.pb.gz", "wb") as f:
            f.write(text)
        result = subprocess.run([lines, "bad.pb.gz"], stderr=subprocess.PIPE, text=True)
        check(result.returncode == 1 and result.stderr ==
              "goalloc-lines: bad.pb.gz: it is not a profile of goalloc\n", result)
        check(open("bad.pb.gz", "rb").read() == text, "a file that is no profile was changed")


def misuse(path, how, *arguments, **options):
    return run(list(arguments) + [program("lines_misuse"), how], path, **options)


def frame(text, head, function, mark):
    """the first frame below this head is in this line"""
    expected = r"%s[^\n]*\n    #0 0x[0-9a-f]+ %s\+0x[0-9a-f]+ /.*/lines_misuse.c:%d \(%s\+0x" % (
        head, function, line_of("lines_misuse.c", mark), re.escape(program("lines_misuse")))
    check(re.search(expected, text), (expected, text))


def of_text(path):
    result = misuse(path, "twice", "--efence")
    check(result.returncode == -signal.SIGABRT, result)
    check(re.match(r"goalloc: free\(0x[0-9a-f]+\): double free\n", result.stderr), result.stderr)
    frame(result.stderr, "  used by thread", "release", "freed")
    frame(result.stderr, "  allocated by thread", "allocate", "allocated")
    frame(result.stderr, "  freed by thread", "release", "freed")
    # The same of a report that was kept.
    kept = misuse(path, "twice", "--efence", "--no-lines").stderr
    text = subprocess.run([os.path.join(build, "goalloc-lines")], input=kept,
            stdout=subprocess.PIPE, text=True, check=True).stdout
    frame(text, "  used by thread", "release", "freed")
    check(kept.count("\n") <= text.count("\n"), text)


def of_exact(path):
    """the address of a fault is in the instruction, not behind a call"""
    result = misuse(path, "read", "--efence")
    check(result.returncode == -signal.SIGSEGV, result)
    frame(result.stderr, "  used by thread", "look", "before")


def of_leaks(path):
    result = misuse(path, "leak", "--leaks", "--all-leak-stacks", "--leak-exit", "9")
    check(result.returncode == 9, result)
    expected = r"\n    0x[0-9a-f]+ allocate\+0x[0-9a-f]+ /.*/lines_misuse.c:%d \(" % line_of(
        "lines_misuse.c", "allocated")
    check(re.search(expected, result.stderr), (expected, result.stderr))
    check(re.search(r"\ngoalloc: leaked: 1 object, ", result.stderr), result.stderr)


def of_ends(path):
    """a program ends as it would without lines, and its standard error is whole"""
    check(misuse(path, "signal", "--efence").returncode == -signal.SIGTERM, "signal")
    result = run(["--efence", "/no/such"], path)
    check(result.returncode == 127, result)
    result = misuse(path, "prompt", "--efence", input="x")
    check(result.returncode == 7 and result.stderr ==
          "name? \n    not a frame (/x+0x1)\nlast words", result)
    # A prompt is seen before it is answered, and a signal is passed on.
    p = subprocess.Popen([os.path.join(build, "goalloc-run"), "--efence", program("lines_misuse"),
            "prompt"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, env={"PATH": path})
    check(p.stderr.read(6) == b"name? ", "no prompt")
    p.stdin.write(b"x")
    p.stdin.close()
    check(p.wait() == 7, p.returncode)
    p = subprocess.Popen([os.path.join(build, "goalloc-run"), "--efence", program("lines_misuse"),
            "wait"], stdout=subprocess.PIPE, env={"PATH": path})
    check(p.stdout.read(1) == b"x", "not started")
    p.send_signal(signal.SIGTERM)
    check(p.wait() == -signal.SIGTERM, p.returncode)


def main():
    cases = {"c": of_c, "cxx": of_cxx, "beside": of_processes, "without": without,
             "text": of_text, "exact": of_exact, "leaks": of_leaks, "ends": of_ends}
    tools = [tool for tool in TOOLS if shutil.which(tool)]
    if not tools:
        print("there is no " + ", ".join(TOOLS))
        sys.exit(SKIP)
    for tool in tools:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            tools_folder = tempfile.mkdtemp()
            os.symlink(shutil.which(tool), os.path.join(tools_folder, tool))
            for name in "sh dirname readlink env true head sed od grep cat".split():
                os.symlink(shutil.which(name), os.path.join(tools_folder, name))
            cases[case](tools_folder)
            shutil.rmtree(tools_folder)
            os.chdir("/")


main()
