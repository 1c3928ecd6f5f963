#!/bin/bash
# SPDX-License-Identifier: MIT
#
# flags.sh PREFIX - goalloc-run of an installed goalloc: each flag does what it says, each mistake
# is one line and a status.
set -u
prefix=$1
run=$prefix/bin/goalloc-run
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
unset GOALLOC_RUN_PID GOALLOC GOALLOC_STATS GOALLOC_PROFILE GOALLOC_MEMLIMIT LD_PRELOAD
export LC_ALL=C
failures=0

complain() {
	echo "FAILED: $*"
	sed 's/^/	/' out err
	failures=$((failures + 1))
}

# expect STATUS ERR ARGUMENT...: goalloc-run's status, and what its standard error matches, a whole
# line; "" is silence.
expect() {
	local status=$1 text=$2
	shift 2
	"$run" "$@" >out 2>err
	local got=$?
	[ $got = "$status" ] || complain "status $got, not $status: goalloc-run $*"
	if [ -z "$text" ]; then
		[ ! -s err ] || complain "not silent: goalloc-run $*"
	else
		{ [ "$(wc -l <err)" = 1 ] && grep -qx -- "$text" err; } ||
			complain "not one line '$text': goalloc-run $*"
	fi
}

# environment NAME VALUE ARGUMENT...: what the program has in its environment.
environment() {
	local name=$1 value=$2
	shift 2
	expect 0 "" "$@" sh -c "printf '%s' \"\${$name-unset}\""
	[ "$(cat out)" = "$value" ] ||
		complain "$name is '$(cat out)', not '$value': goalloc-run $*"
}

# --- the program runs as it is ---
expect 0 "" true
expect 3 "" sh -c 'exit 3'
expect 0 "" -- sh -c 'test "$1" = "a  b" && test "$2" = --stats' sh "a  b" --stats
environment LD_PRELOAD "$(readlink -f "$prefix"/lib*/libgoalloc.so.1)"
environment GOALLOC unset
LD_PRELOAD='' environment GOALLOC_STATS unset

# --- settings ---
environment GOALLOC scavenge=5,thp=0 -o scavenge=5 --option thp=0
environment GOALLOC scavenge=5 --option=scavenge=5
GOALLOC=thp=0 environment GOALLOC thp=0,scavenge=5 -o scavenge=5
environment GOALLOC memprofilerate=64KiB --profile-rate 64KiB
environment GOALLOC memprofilerate=64KiB --profile-rate=64KiB
environment GOALLOC leakcheck=1 --leaks
environment GOALLOC "leakreport=$PWD/l.txt,leakcheck=1" --leaks=l.txt
environment GOALLOC leakreport=-,leakcheck=1 --leaks=-
environment GOALLOC leakcheck=2 --all-leak-stacks
environment GOALLOC leakcheck=2 --all-leak-stacks --leaks
environment GOALLOC leakexit=0,leakcheck=1 --leak-exit 0
printf '# none\nleak:lost\n' >known
environment GOALLOC "suppressions=$PWD/known" --suppressions known
environment GOALLOC memlimit=2GiB,hard=1 --memlimit 2GiB --hard
GOALLOC_MEMLIMIT=1GiB environment GOALLOC_MEMLIMIT unset --memlimit 2GiB
environment GOALLOC signal=USR1 --signal USR1
environment GOALLOC guardrate=1000 --guard-rate 1000
environment GOALLOC efence=1 --efence
environment GOALLOC "heapmap=$PWD/m.txt" --heap-map m.txt
environment GOALLOC heapmap=/tmp/%p.txt --heap-map=/tmp/%p.txt
environment GOALLOC_PROFILE "$PWD/p, q.pb.gz" --profile "p, q.pb.gz"
environment GOALLOC_STATS "$PWD/st.txt" --stats=st.txt
# The command line counts more than the environment, and the later flag than the earlier.
GOALLOC_PROFILE=/e environment GOALLOC_PROFILE unset -o profile=p.heap
GOALLOC_STATS=/e environment GOALLOC_STATS unset -o stats=s.txt
GOALLOC_MEMLIMIT=1GiB environment GOALLOC_MEMLIMIT unset -o memlimit=2GiB
GOALLOC=leakcheck=2 environment GOALLOC leakcheck=2,leakcheck=1 --leaks
environment GOALLOC_PROFILE unset --profile a.heap -o profile=p.heap
environment GOALLOC_PROFILE "$PWD/a.heap" -o profile=p.heap --profile a.heap
rm -f ./*

# --- files ---
expect 0 "" --profile p.pb.gz --profile-rate=1 sh -c 'cd / && exec true'
[ "$(gzip -dc p.pb.gz | wc -c)" -gt 100 ] || complain "no profile"
expect 0 "" --profile=p.heap true
grep -q '^heap profile: ' p.heap || complain "no text profile"
expect 0 "" --stats=s.%p true
[ "$(cat s.[0-9]* | wc -l)" -gt 5 ] || complain "no statistics"
"$run" --stats ls >out 2>err
[ "$(wc -l <err)" -gt 5 ] || complain "no statistics of a program that closes standard error"
rm -f ./*

# --- the page at exit: of a program as it is, whatever ends it ---
expect 3 "" --report r.html sh -c 'exit 3'
grep -q '"program":"sh"' r.html || complain "no page at exit"
expect 0 "" --report=%p.html sh -c 'kill -0 $$ && printf "%s" $$'
[ -s "$(cat out).html" ] || complain "the page does not have the process id of the program"
expect 0 "" --report r.html sh -c 'test "$1" = "a  b" && test "$2" = "x=y"' sh "a  b" x=y
expect 139 "" --report s.html sh -c 'kill -SEGV $$'
[ -s s.html ] || complain "no page of a program that a signal ends"
expect 137 "" --report k.html sh -c 'kill -KILL $$'
rm -f ./*

# --- several processes ---
# A program that is not the one that was run, and a child that was forked, write beside.
expect 0 "" --profile w.pb.gz perl -e 'system("perl", "-e", 1); wait if fork'
[ "$(ls w.pb.gz w.[0-9]*.pb.gz | wc -l)" = 3 ] || complain "not two profiles beside: $(ls)"
rm -f ./*
expect 0 "" --profile w.heap -o only=perl sh -c 'perl -e "fork; wait"; ls >/dev/null'
[ "$(ls w.heap w.[0-9]*.heap | wc -l)" = 2 ] || complain "not perl and its child: $(ls)"
rm -f ./*
printf '#!/bin/sh\nperl -e 1\ntrue\n' >script
chmod +x script
expect 0 "goalloc-run: './script' is a shell script: each program .* -o only=NAME chooses .*" \
	--profile w.heap ./script
{ [ ! -e w.heap ] && ls w.[0-9]*.heap >/dev/null; } || complain "of a script: $(ls)"
rm -f w.*
expect 0 "" --profile w.heap -o only=perl ./script
[ "$(ls w.*)" = w.heap ] || complain "only=perl: $(ls)"
expect 0 "" --profile w.heap -o only=script ./script
expect 0 "" --stats -o only=no-such ./script
rm -f ./*

# --- programs that nothing can be preloaded into ---
if cc -static -o static -x c - <<<'int main(void) { return 5; }' 2>/dev/null; then
	expect 2 "goalloc-run: './static' is statically linked: no library can be preloaded .*" \
		./static
fi
if [ "$(id -u)" = 0 ]; then
	cp "$(command -v perl)" setuid
	chown 1 setuid
	chmod u+s setuid
	expect 2 "goalloc-run: './setuid' is setuid or setgid: no library can be preloaded .*" \
		./setuid
fi
rm -f ./*

# --- mistakes ---
expect 2 "goalloc-run: no program given (see goalloc-run --help)"
expect 127 "goalloc-run: cannot find the program 'no-such-program'" no-such-program
expect 126 "goalloc-run: '/usr' is a directory" /usr
expect 126 "goalloc-run: '/etc/passwd' may not be executed" /etc/passwd
expect 2 "goalloc-run: unknown flag '--foo' (see goalloc-run --help)" --foo true
expect 2 "goalloc-run: --guard-rate needs a value (see goalloc-run --help)" --guard-rate
expect 2 "goalloc-run: cannot read the library '/no/such/lib.so'" --lib /no/such/lib.so true
expect 2 "goalloc-run: cannot read the library '/'" --lib=/ true
expect 2 "goalloc-run: cannot load the library '/etc/passwd'" --lib /etc/passwd true
expect 2 "goalloc-run: --profile: cannot write to '/no/such/p': no such directory" \
	--profile /no/such/p true
expect 2 "goalloc-run: --profile: cannot write to '/': it is a directory" --profile / true
expect 2 "goalloc-run: --profile needs a file" --profile '' true
expect 2 "goalloc-run: --stats: cannot write to '/no/such/s': no such directory" \
	--stats=/no/such/s true
expect 2 "goalloc-run: --leaks: cannot write to '/no/such/l': no such directory" \
	--leaks=/no/such/l true
expect 2 "goalloc-run: --heap-map: no comma can be in the name of the file '$PWD/a,b'" \
	--heap-map a,b true
expect 2 "goalloc-run: bad value in 'memprofilerate=x'; it takes BYTES" --profile-rate x true
expect 2 "goalloc-run: bad value in 'memlimit=2G'; it takes BYTES|N%|off; did you mean 2GiB?" \
	--memlimit 2G true
expect 2 "goalloc-run: --suppressions: cannot read 'absent'" --suppressions absent true
printf 'leak:lost\nlost\n' >bad
expect 2 "goalloc-run: suppressions: '$PWD/bad', line 2: no leak:PATTERN" --suppressions bad true
rm bad known
expect 2 "goalloc-run: bad value in 'leakexit=300'; it takes 0..255" --leak-exit 300 true
expect 2 "goalloc-run: bad value in 'signal=KILL'; it takes NUMBER|NAME|off" --signal KILL true
expect 2 "goalloc-run: bad value in 'guardrate=-1'; it takes 0..1000000000" --guard-rate -1 true
expect 2 "goalloc-run: unknown option in 'scavneg=1'; did you mean scavenge?" -o scavneg=1 true
# With nothing before the file there is nothing to be written, and no program was run.
[ "$(ls)" = "err
out" ] || complain "files are left: $(ls)"

# --- help ---
expect 0 "" --help
grep -q '^Usage: goalloc-run' out && grep -q '^  scavenge  *0\.\.86400000' out || complain "no help"
[ "$(awk 'length > 80' out)" = "" ] || complain "--help is wider than 80 columns"
# Every flag that is taken is told of.
sed -n 's/^\t\(-[a-z-]* | \)*\(--[a-z-]*\)[)=|* ].*/\2/p; s/.* | \(--[a-z-]*\)).*/\1/p' "$run" |
	sort -u | grep -vx -e -- |
	while read -r flag; do
		grep -q -e "$flag" out || echo "$flag"
	done >missing
[ ! -s missing ] || complain "not in --help: $(tr '\n' ' ' <missing)"
expect 0 "" --version
grep -qx 'goalloc-run [0-9.]*' out || complain "no version"

[ $failures = 0 ] || exit 1
echo "goalloc-run does as it says"
