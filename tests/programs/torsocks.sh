# torsocks.sh - libraries that replace libc's syscall(), before and behind ours in LD_PRELOAD.
what="torsocks and uid_wrapper, which replace syscall()"
packages="torsocks libuid-wrapper python3"
programs="python3"
limit=60

run_case() {
	local other order
	for other in /usr/lib/*/torsocks/libtorsocks.so /usr/lib/*/libuid_wrapper.so; do
		for order in "$other ${LD_PRELOAD-}" "${LD_PRELOAD-} $other"; do
			LD_PRELOAD=$order UID_WRAPPER=1 UID_WRAPPER_ROOT=1 python3 -c '
import os, threading
done = []
def work(): done.append(sum(len(bytearray(i * 10)) for i in range(5000)))
threads = [threading.Thread(target=work) for _ in range(3)]
for t in threads: t.start()
for t in threads: t.join()
print(done, os.getuid())'
			LD_PRELOAD=$order UID_WRAPPER=1 ls /usr/share/doc/bash
		done
	done
}
