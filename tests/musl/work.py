#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""work.py COST NAME LIBRARY PROGRAM - gives a program of musl some work to do.

Writes what the program writes. COST is the program of cost.c, which starts PROGRAM with LIBRARY
preloaded, and tells on standard error what it cost.
"""
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

LUA = """
local t = {} for i = 1, 600000 do t[i % 5000] = {i, tostring(i), {i}} end
local n = 0 for k, v in pairs(t) do n = n + v[1] end print(n)
local s = {} for i = 1, 200000 do s[#s + 1] = ("x"):rep(i % 50) .. i end
print(#table.concat(s))
"""

SQL = """
create table t(a integer primary key, b text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 120000)
insert into t select i, hex(i * 7919) || printf('%0' || (i % 60) || 'd', i) from n;
create index u on t(b); select count(*), sum(length(b)), max(b) from t;
select sum(a) from (select a from t order by b desc limit 50000);
"""

# The shell, awk, sort and the rest are all busybox.
SHELL = r"""
busybox() { "$0" "$@"; }
busybox seq 400000 | busybox awk '{ i = $1 % 3000; t[i] = t[i] " " $1
    if (length(t[i]) > 400) t[i] = "" } END { for (k in t) n += length(t[k]); print n }'
busybox seq 300000 | busybox sort -r | busybox md5sum
for i in $(busybox seq 30000); do
    v=$v$((i % 10))
    case $i in *000) n=$((n + ${#v})) v= ;; esac
done
echo $n
"""

# Redis is told by its socket what to do. The sum depends on every key.
SCRIPT = """
for i = 1, 150000 do
  redis.call('set', 'k' .. i % 20000, string.rep('v', i % 200))
  redis.call('rpush', 'l' .. i % 100, i)
  redis.call('hset', 'h' .. i % 500, i % 90, i)
end
local sum = redis.call('dbsize')
for i = 0, 19999 do sum = sum + #redis.call('get', 'k' .. i) end
for i = 0, 99 do sum = sum + redis.call('llen', 'l' .. i) end
return sum
"""


def redis(command):
    folder = tempfile.mkdtemp()
    path = folder + "/s"
    server = subprocess.Popen(command + ["--port", "0", "--unixsocket", path, "--save", "",
                                         "--daemonize", "no", "--dir", folder],
                              stdout=subprocess.DEVNULL)
    try:
        talk = socket.socket(socket.AF_UNIX)
        for _ in range(600):
            try:
                talk.connect(path)
                break
            except OSError:
                time.sleep(0.05)
        reply = talk.makefile("rb")
        script = SCRIPT.encode()
        talk.sendall(b"*3\r\n$4\r\nEVAL\r\n$%d\r\n%s\r\n$1\r\n0\r\n" % (len(script), script))
        print(reply.readline().decode().strip())
        # Small requests, many at a time.
        sets = b"".join(b"*3\r\n$3\r\nSET\r\n$6\r\nn%05d\r\n$%d\r\n%s\r\n" %
                        (i % 30000, len(b"%d" % (i * i)), b"%d" % (i * i))
                        for i in range(1000))
        for _ in range(60):
            talk.sendall(sets)
            for _ in range(1000):
                assert reply.readline() == b"+OK\r\n"
        talk.sendall(b"*1\r\n$6\r\nDBSIZE\r\n")
        print(reply.readline().decode().strip(), flush=True)
        talk.sendall(b"*2\r\n$8\r\nSHUTDOWN\r\n$6\r\nNOSAVE\r\n")
        return server.wait()
    finally:
        if server.returncode is None:
            server.kill()
            server.wait()
        shutil.rmtree(folder)


def main():
    cost, name, library, program = sys.argv[1:]
    command = [cost, library, program]
    if name == "redis":
        return redis(command)
    arguments = {
        "lua": ["-e", LUA],
        "sqlite3": [":memory:", SQL],
        "busybox": ["sh", "-c", SHELL, program],
    }
    return subprocess.run(command + arguments[name]).returncode


sys.exit(main())
