# helpers.bash - runs one function of one NAME.sh, and holds what those files share.
#
# A NAME.sh sets   what      what is done, in a few words
#                  packages  Debian packages
#                  programs  commands that (or files) that must be there and must load the library
#                  more_path where programs are beside Debian's PATH
#                  limit     seconds after which a run counts as hung (120)
# and defines      run_case  in an empty directory; its output and out/ are compared
#                  prepare   optional; once, without the library, writes into $INPUT
# Both run under set -eu -o pipefail, so a step that fails fails the case. Their output must not
# depend on time, process ids or addresses.
#
# Environment: MODE quick or default, INPUT, LIBRARY the library of this test, LD_PRELOAD set or
# not. shellcheck shell=bash
set -eu -o pipefail

# pick QUICK DEFAULT: the size of a load.
pick() { if [ "$MODE" = quick ]; then echo "$1"; else echo "$2"; fi; }

# words N: N lines of pseudo-random text, the same every time.
words() {
	awk -v n="$1" 'BEGIN { x = 42; for (i = 0; i < n; i++) {
		x = (x * 16807) % 2147483647; y = (x * 48271) % 2147483647;
		printf "%d item%d %x some-text-%d,%d\n", x % 100003, y % 997, y, i % 89, x % 7 } }'
}

# active PID...: the library is in these processes when it should be, and only then.
active() {
	local pid want=0 has
	[ -z "${LD_PRELOAD-}" ] || want=1
	for pid in "$@"; do
		has=0
		! grep -q -F "$LIBRARY" "/proc/$pid/maps" 2>/dev/null || has=1
		[ -d "/proc/$pid" ] || continue # a worker that has done its work
		[ "$has" = "$want" ] && continue
		echo "process $pid ($(tr '\0' ' ' <"/proc/$pid/cmdline")):" \
			"library there: $has, wanted: $want" >&2
		return 1
	done
}

# loads PROGRAM...: the loader puts the library into these programs (scripts are left out).
loads() {
	local program
	for program in "$@"; do
		[[ $program == /* ]] || program=$(type -P "$program")
		[ "$(head -c 4 "$program" | tr -d '\0')" = $'\177ELF' ] || continue
		[[ $(ldd "$program") == *"$LIBRARY"* ]] ||
			{ echo "the library is not loaded into $program" >&2 && return 1; }
	done
}

# children PID: the processes it started that live.
children() { cat "/proc/$1/task/"*/children; }

# free_port: one on 127.0.0.1 outside the range that clients get theirs from.
free_port() {
	perl -MIO::Socket::INET -e 'for (1 .. 100) {
		my $p = 10000 + int rand 20000;
		next if !IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1",
			LocalPort => $p);
		print "$p\n"; last }'
}

servers=()
# serve COMMAND...: starts a server that ends with this case; its number is in $server, its output
# in server.log.
serve() {
	"$@" >>server.log 2>&1 &
	server=$!
	servers+=("$server")
	echo "$server $(sed 's/.*) //' "/proc/$server/stat" | cut -d ' ' -f 20)" \
		>>"${GOALLOC_CASE}servers"
}

# wait_port PORT: until the server answers there.
wait_port() {
	local i
	for ((i = 0; i < 200; i++)); do
		! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null || return 0
		kill -0 "$server" 2>/dev/null || break
		sleep 0.05
	done
	echo "no server on port $1" >&2
	return 1
}

# stop [SIGNAL]: ends the server and says how it ended.
stop() {
	local status=0
	kill -"${1-TERM}" "$server"
	wait "$server" || status=$?
	servers=()
	echo "server: exit status $status"
}

end_servers() {
	local status=$? pid
	[ ${#servers[@]} = 0 ] || kill "${servers[@]}" 2>/dev/null || true
	[ "$status" = 0 ] || [ ! -s server.log ] ||
		{ echo "server.log:" && tail -n 20 server.log; } >&2
	for pid in ${servers[@]+"${servers[@]}"}; do
		for _ in {1..20}; do ! kill -0 "$pid" 2>/dev/null || sleep 0.1; done
		{ kill -KILL "$pid" && wait "$pid"; } 2>/dev/null || true
	done
	exit "$status"
}
trap end_servers EXIT

# http PORT PATH [HEADER]: the body, by HTTP/1.0.
http() {
	exec 3<>"/dev/tcp/127.0.0.1/$1"
	printf 'GET %s HTTP/1.0\r\n%s\r\n' "$2" "${3:+$3$'\r\n'}" >&3
	sed '1,/^\r$/d' <&3
	exec 3>&-
}

# other_user: puts a user who is not root into the array $user as a command prefix, if we are root.
other_user() {
	user=()
	[ "$(id -u)" = 0 ] || return 0
	# shellcheck disable=SC2034 # for the caller
	user=(setpriv --reuid="${1-nobody}" --regid="$(id -g "${1-nobody}")" --clear-groups)
}

# The group of processes that timeout made.
sed 's/.*) //' /proc/$$/stat | cut -d ' ' -f 3 >"${GOALLOC_CASE}group"
active $$
programs=''
# shellcheck disable=SC1090 # one of the NAME.sh
. "$1"
# shellcheck disable=SC2086 # one program a word
[ -z "${LD_PRELOAD-}" ] || loads $programs
"$2"
