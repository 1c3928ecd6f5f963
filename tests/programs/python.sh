# python.sh - an own script with pymalloc and with every object from malloc (PYTHONMALLOC=malloc).
what="dicts, json, re, pickle, decimal, sqlite3, zlib, ctypes, mmap, threads, multiprocessing;"
what+=" twice"
packages="python3"
programs="/usr/bin/python3"

prepare() {
	cat >"$INPUT/script.py" <<'END'
import array, collections, concurrent.futures, ctypes, decimal, gc, hashlib, io, itertools, json
import lzma, mmap
import multiprocessing, os, pickle, random, re, sqlite3, subprocess, sys, tempfile, threading
import weakref, zlib

n = int(sys.argv[1])
rnd = random.Random(42)
md5 = lambda s: hashlib.md5(s if isinstance(s, bytes) else str(s).encode()).hexdigest()

d = {}
for i in range(n):
    d.setdefault("key%d" % rnd.randrange(n // 7), []).append(rnd.random())
for k in list(d)[::3]:
    del d[k]
print(len(d), md5(json.dumps(d, sort_keys=True)))
assert json.loads(json.dumps(d)) == d and pickle.loads(pickle.dumps(d)) == d
text = " ".join(f"{k}:{len(v)}" for k, v in sorted(d.items())) * 3
print(len(re.findall(r"key(\d+):(?:1[0-3]|[5-7])\b", text)), md5(re.sub(r"(\d)(\d)", r"<\2\1>",
        text)))
print(md5(sorted(itertools.combinations(range(60), 3), key=lambda t: (t[2] * 31 + t[0]) % 97)))
decimal.getcontext().prec = 2000
print(md5(decimal.Decimal(2).sqrt() ** 7), md5(hex(3 ** 20000)))
data = bytes(rnd.randrange(64) for _ in range(n))
print(md5(zlib.compress(data, 9)), md5(lzma.compress(data)),
        zlib.decompress(zlib.compress(data)) == data)

class Node:
    def __init__(self, depth):
        self.up = None
        self.kids = [Node(depth - 1) for _ in range(4)] if depth else []
        for kid in self.kids:
            kid.up = self
tree = Node(6); ref = weakref.ref(tree); del tree; gc.collect()
print("collected", ref() is None)

db = sqlite3.connect(":memory:")
db.execute("create table t (a integer primary key, b text)")
db.executemany("insert into t values (?, ?)", ((i, "x" * (i % 300)) for i in range(n // 10)))
print(db.execute("select sum(length(b)), count(*) from t where b like '%xx'").fetchone())

libc = ctypes.CDLL(None)
libc.malloc.restype = libc.realloc.restype = ctypes.c_void_p
p = libc.malloc(ctypes.c_size_t(100)); p = libc.realloc(ctypes.c_void_p(p),
        ctypes.c_size_t(1 << 20))
ctypes.memset(p, 7, 1 << 20); print(ctypes.string_at(p,
        1 << 20) == b"\7" * (1 << 20)); libc.free(ctypes.c_void_p(p))
callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int),
        ctypes.POINTER(ctypes.c_int))(lambda a, b: a[0] - b[0])
a = (ctypes.c_int * 1000)(*(rnd.randrange(10**6) for _ in range(1000))); libc.qsort(a, 1000, 4,
        callback); print(md5(list(a)))

with mmap.mmap(-1, 1 << 20) as m:
    m[5:10] = b"hello"; print(m.find(b"hello"))
grown = bytearray()
for i in range(n): grown += b"%d," % i
print(md5(bytes(grown)), len(array.array("d", range(n)).tobytes()))

def work(i):
    box = collections.defaultdict(list)
    for j in range(n // 20): box[j % 101].append(str(i * j))
    return sum(len(s) for v in box.values() for s in v)
with concurrent.futures.ThreadPoolExecutor(4) as pool: print(list(pool.map(work, range(8))))
with multiprocessing.get_context("fork").Pool(2) as pool: print(pool.map(work, range(8)))
total = 0; lock = threading.Lock()
def short():
    global total
    with lock: total += len([object() for _ in range(100)])
for _ in range(20):
    ts = [threading.Thread(target=short) for _ in range(10)]; [t.start() for t in ts]
    [t.join() for t in ts]
print(total)
for i in range(5):
    print(subprocess.run([sys.executable, "-S", "-c",
            "print(sum(map(len, (str(i) for i in range(10000)))))"], capture_output=True).stdout)
END
}

run_case() {
	local n
	n=$(pick 15000 60000)
	/usr/bin/python3 "$INPUT/script.py" "$n"
	PYTHONMALLOC=malloc /usr/bin/python3 "$INPUT/script.py" "$n"
}
