# torsocks.sh - wrappers that bring a syscall() of their own, and other libraries that are preloaded, too.
what="torsocks, uid_wrapper and fakeroot around programs, before and behind the library"
packages="torsocks libuid-wrapper fakeroot perl-base python3-minimal"
programs="torsocks perl python3"

# wrapped LIBRARY COMMAND...: with it before the library, behind it, and what both print.
wrapped() {
	local wrapper=$1 order
	shift
	for order in "$wrapper${LD_PRELOAD:+ $LD_PRELOAD}" "${LD_PRELOAD:+$LD_PRELOAD }$wrapper"; do
		timeout 60 env LD_PRELOAD="$order" "$@" || echo "exit status $?"
	done
}

# One of the files that a package brings.
file_of() { dpkg -L "$1" 2>/dev/null | grep -m 1 "$2" || true; }

run_case() {
	local tor uid script='import threading; a = [bytes(i) for i in range(5000)]; t = [threading.Thread(target=lambda: [bytes(100000) for i in range(200)]) for _ in range(3)]; [x.start() for x in t]; [x.join() for x in t]; print(len(a))'
	tor=$(file_of torsocks "libtorsocks.so\$")
	uid=$(file_of libuid-wrapper 'libuid_wrapper.so$')
	wrapped "$tor" true
	wrapped "$tor" perl -e 'my @a = map { "x" x $_ } 1 .. 3000; print scalar(@a), "\n"'
	wrapped "$tor" python3 -c "$script"
	UID_WRAPPER=1 wrapped "$uid" id -u
	UID_WRAPPER=1 UID_WRAPPER_ROOT=1 wrapped "$uid" id -u
	UID_WRAPPER=1 wrapped "$uid" python3 -c "$script"
	timeout 60 fakeroot sh -c 'touch a && chown 7:8 a && stat -c "%u %g" a'
}
