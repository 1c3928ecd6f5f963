#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
check_profile.py - runs a program that says what its functions allocate, and reads its profile. It
has a reader of its own for both formats, and uses `go tool pprof` and google-pprof where they are
there.

  check_profile.py [--preload LIB] [--need-pprof] PROGRAM CASE RATE

With --need-pprof it skips (exit status 77) when there is neither of the two. Nothing decides by
time, and what is random has a tolerance of six standard deviations.
"""
import collections
import gzip
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
sys.dont_write_bytecode = True
from protobuf import fields, packed  # noqa: E402

SKIP = 77
DEVIATIONS = 6


def fail(what):
    sys.exit("FAILED: " + what)


# --- profile.proto ---

Sample = collections.namedtuple("Sample", "pcs names values nbytes")


class Proto:
    def __init__(self, file):
        with gzip.open(file) as f:
            top = fields(f.read())
        self.strings = [s.decode() for s in top[6]]
        functions = {}
        for f in map(fields, top[5]):
            functions[f[1][0]] = self.strings[f[2][0]]
        self.mappings = [fields(m) for m in top[3]]
        self.locations = {}
        for loc in map(fields, top[4]):
            line = fields(loc[4][0]) if loc[4] else None
            if loc[1][0] in self.locations:
                fail("location %x twice" % loc[1][0])
            self.locations[loc[1][0]] = functions[line[1][0]] if line else "?"
        self.types = [tuple(self.strings[n] for n in (fields(t)[1][0], fields(t)[2][0]))
                      for t in top[1]]
        self.period = top[12][0] if top[12] else 0
        self.samples = []
        for sample in map(fields, top[2]):
            pcs = packed(sample[1][0]) if sample[1] else []
            label = fields(sample[3][0])
            self.samples.append(Sample(pcs, [self.locations[pc] for pc in pcs],
                    packed(sample[2][0]), label[3][0]))


# --- heap_v2 ---

class Text:
    def __init__(self, file):
        with open(file) as f:
            lines = f.read().split("\n")
        head = re.fullmatch(r"heap profile: +(\d+): +(\d+) \[ *(\d+): +(\d+)\] @ heap_v2/(\d+)",
                lines[0])
        if not head:
            fail("head of the text: " + lines[0])
        self.total = [int(n) for n in head.groups()[:4]]
        self.rate = int(head.group(5))
        end = lines.index("MAPPED_LIBRARIES:")
        self.samples = []
        for line in lines[1:end - 1]:
            m = re.fullmatch(r" *(\d+): +(\d+) \[ *(\d+): +(\d+)\] @((?: 0x[0-9a-f]+)*)", line)
            if not m:
                fail("line of the text: " + line)
            self.samples.append(([int(n) for n in m.groups()[:4]],
                                 [int(pc, 16) for pc in m.group(5).split()]))
        if not any("r-xp" in line for line in lines[end:]):
            fail("no mappings in the text")


def chance(nbytes, rate):
    return 1.0 if rate <= 1 else -math.expm1(-nbytes / rate)


def check_agreement(proto, text):
    """Both were written of the same state."""
    if text.rate != proto.period:
        fail("rates %d and %d" % (text.rate, proto.period))
    if len(text.samples) != len(proto.samples):
        fail("%d and %d samples" % (len(text.samples), len(proto.samples)))
    for (counts, pcs), sample in zip(text.samples, proto.samples):
        scale = 1 / chance(sample.nbytes, text.rate)
        expected = [counts[2] * scale, counts[3] * scale, counts[0] * scale, counts[1] * scale]
        if pcs != sample.pcs or any(abs(a - b) > 1 + a * 1e-9
                                       for a, b in zip(expected, sample.values)):
            fail("text %s, proto %s" % ((counts, pcs), sample))
    if [sum(s[0][i] for s in text.samples) for i in range(4)] != text.total:
        fail("the totals of the text do not add up")


# --- what the program says it did ---

def demangle(name):
    """Enough for profile_load_cxx.cc, and without what compilers append to copies of functions."""
    name = re.sub(r"\.(constprop|isra|part)\b.*", "", name)
    if not name.startswith("_ZN"):
        return name
    parts, at = [], 3
    while at < len(name) and name[at].isdigit():
        n = int(re.match(r"\d+", name[at:]).group())
        at += len(str(n))
        parts.append(name[at:at + n])
        at += n
    return "::".join(parts)


def read_truth(output):
    truth = collections.defaultdict(lambda: [0, 0, 0, 0])
    for line in output.splitlines():
        name, *numbers = line.split()
        for i, n in enumerate(numbers):
            truth[name][i] += int(n)
    return truth


def estimates(proto):
    """function -> the four values of stacks whose innermost frame it is, and their variance"""
    sums = collections.defaultdict(lambda: ([0, 0, 0, 0], [0, 0, 0, 0]))
    for sample in proto.samples:
        values, variances = sums[demangle(sample.names[0]) if sample.names else "?"]
        p = chance(sample.nbytes, proto.period)
        for i, v in enumerate(sample.values):
            values[i] += v
            # Of n objects n p are sampled, and each sample counts 1 / p of them.
            variances[i] += v * (1 - p) / p * (sample.nbytes if i % 2 else 1)
    return sums


def check_truth(proto, truth):
    sums = estimates(proto)
    for name, expected in truth.items():
        values, variances = sums[name]
        for i, what in enumerate(t[0] for t in proto.types):
            # Samples of one stack and size are rounded down.
            slack = DEVIATIONS * math.sqrt(variances[i]) + (0 if proto.period == 1 else 10)
            if abs(values[i] - expected[i]) > slack:
                fail("%s of %s: %d, expected %d with %d of deviation" % (what, name, values[i],
                        expected[i], slack))
    for name, (values, _) in sums.items():
        if name.startswith(("take", "shop")) and name not in truth:
            fail("%s is in the profile: %s" % (name, values))


def check_frames(proto, truth):
    for sample in proto.samples:
        for name in sample.names:
            if re.match(r"(malloc|calloc|posix_memalign|_Znw|_Zna|heap_|profile_|unwind_)", name):
                fail("%s is on a stack: %s" % (name, sample.names))
        if sample.names and demangle(sample.names[0]) in truth and \
                not {"main", "start_thread", "?"} & set(sample.names):
            fail("not from main: %s" % sample.names)
    if not os.path.samefile(proto.strings[proto.mappings[0][5][0]], program):
        fail("the first mapping is %s" % proto.strings[proto.mappings[0][5][0]])


# --- tools ---

def check_top(lines, truth, index, rate):
    """'flat flat% sum% cum cum% name' of each function"""
    flat = {}
    for line in lines:
        m = re.match(r" *([\d.]+)(?:B|MB)? +[\d.]+% +[\d.]+% +[\d.]+(?:B|MB)? +[\d.]+% +"
                     r"(.*?)(?: \(inline\))?$", line)
        if m:
            name = demangle(re.sub(r"[<(].*", "", m.group(2)))
            flat[name] = flat.get(name, 0) + float(m.group(1))
    for name, expected in truth.items():
        if expected[index] == 0:
            continue
        if name not in flat:
            fail("pprof does not know %s:\n%s" % (name, "\n".join(lines)))
        slack = 0.02 + DEVIATIONS * math.sqrt(rate / expected[1])
        if abs(flat[name] / expected[index] - 1) > slack:
            fail("pprof: %s %f, expected %d:\n%s" % (name, flat[name], expected[index],
                    "\n".join(lines)))


def run_tool(command):
    out = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=60,
                         env=dict(os.environ, HOME=directory, PPROF_TMPDIR=directory))
    if out.returncode != 0:
        fail("%s: %s" % (" ".join(command), out.stdout))
    return out.stdout.split("\n")


def run_go(go, pb, heap, truth, rate):
    command = [go, "tool", "pprof", "-top", "-unit=B", "-nodefraction=0", "-nodecount=10000"]
    for index, sample_type in (1, "alloc_space"), (3, "inuse_space"):
        check_top(run_tool([*command, "-sample_index=" + sample_type, program, pb]), truth, index,
                rate)
    # The text has no names, and Go's tool finds none in programs without debugging information;
    # what is in use is the same.
    total = [re.search(r" of ([\d.]+)B total", "\n".join(run_tool([*command, program, file])))
             for file in (pb, heap)]
    if None in total or abs(float(total[0].group(1)) / float(total[1].group(1)) - 1) > 1e-3:
        fail("pprof finds other totals in the text")


def run_google(google_pprof, heap, truth, rate):
    command = [google_pprof, "--text", "--show_bytes", "--nodefraction=0", "--nodecount=10000",
            "--functions"]
    check_top(run_tool([*command, program, heap]), truth, 3, rate)


def run_program(case, rate, preload, files):
    env = dict(os.environ)
    env.pop("GOALLOC", None)
    if preload:
        env["LD_PRELOAD"] = preload
    if case.startswith("by_option"):
        env["GOALLOC"] = "profile=%s,memprofilerate=%s" % (files[0], rate)
    out = subprocess.run([program, case, rate] + files, stdout=subprocess.PIPE, text=True,
            timeout=60, env=env)
    if out.returncode != 0:
        fail("%s %s: status %d" % (program, case, out.returncode))
    return read_truth(out.stdout)


def check_options(case, truth, protos):
    """The files written at the ends of the program and of its child."""
    if len(protos) != 1 + ("child" in case):
        fail("files %s" % os.listdir(directory))
    child_took = [any("take_in_child" in sample.names for sample in p.samples) for p in protos]
    if sum(child_took) != len(protos) - 1:
        fail("the child's allocations are in %s" % child_took)
    for proto, of_child in zip(protos, child_took):
        check_truth(proto, truth if of_child else
                    {k: v for k, v in truth.items() if "child" not in k})
        check_frames(proto, truth)


def check(case, rate, preload, need_pprof):
    go, google_pprof = shutil.which("go"), shutil.which("google-pprof")
    if need_pprof and not go and not google_pprof:
        print("skipped: no pprof (apt-get install golang-go, or the much smaller google-perftools)")
        sys.exit(SKIP)
    pb, heap = os.path.join(directory, "%p.pb.gz"), os.path.join(directory, "%p.heap")
    truth = run_program(case, rate, preload, [pb, heap])
    pbs = sorted(f for f in os.listdir(directory) if f.endswith(".pb.gz"))
    pb = os.path.join(directory, pbs[0])
    if case.startswith("by_option"):
        check_options(case, truth, [Proto(os.path.join(directory, f)) for f in pbs])
        return
    proto, text = Proto(pb), Text(pb.replace(".pb.gz", ".heap"))
    if proto.types != [("alloc_objects", "count"), ("alloc_space", "bytes"),
                       ("inuse_objects", "count"),
                       ("inuse_space", "bytes")]:
        fail("types %s" % proto.types)
    if proto.period != int(rate):
        fail("period %d" % proto.period)
    check_agreement(proto, text)
    check_frames(proto, truth)
    check_truth(proto, truth)
    parents = [f for f in os.listdir(directory) if f.endswith(".parent")]
    for parent in parents:
        check_truth(Proto(os.path.join(directory, parent)),
                    {k: v for k, v in truth.items() if "child" not in k})
    if (case == "child") != bool(parents):
        fail("files %s" % os.listdir(directory))
    heap = pb.replace(".pb.gz", ".heap")
    if need_pprof and go:
        run_go(go, pb, heap, truth, int(rate))
    if need_pprof and google_pprof:
        run_google(google_pprof, heap, truth, int(rate))


def main():
    global directory, program
    args = sys.argv[1:]
    need_pprof = "--need-pprof" in args
    if need_pprof:
        args.remove("--need-pprof")
    preload = None
    if args[0] == "--preload":
        preload, args = args[1], args[2:]
    program, case, rate = args
    with tempfile.TemporaryDirectory() as directory:
        check(case, rate, preload, need_pprof)


if __name__ == "__main__":
    main()
