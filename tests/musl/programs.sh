# SPDX-License-Identifier: MIT
#
# programs.sh - real programs, built with musl from Debian's source packages; it is sourced after
# setup.sh.
#
# Each program is built once, and linked anew with the archive and with goalloc.o. work.py gives it
# something to do.

programs=(lua sqlite3 busybox redis)

# The compiler of the programs. What $MUSL_LINK names is linked to programs.
musl_cc=$cache/cc
write_compiler() {
	cat >"$musl_cc" <<-END
	#!/bin/sh
	link=
	case " \$* " in *" -o "*) link=\$MUSL_LINK ;; esac
	case " \$* " in
	*" -c "* | *" -E "* | *" -S "* | *" -r "* | *" -M"* | *" -shared "*) link= ;;
	esac
	exec musl-gcc $flags "\$@" \$link
	END
	chmod +x "$musl_cc"
}

# prepare_PROGRAM - configures its source, in the current folder.
# link_PROGRAM - makes the program, and prints its file.
prepare_lua() {
	:
}

link_lua() {
	make -s -C src lua CC="$musl_cc" MYCFLAGS=-DLUA_USE_POSIX SYSCFLAGS= SYSLIBS= >&2 &&
		echo src/lua
}

prepare_sqlite3() {
	CC=$musl_cc ./configure --disable-tcl --disable-readline --disable-shared &&
		make -s BCC=gcc sqlite3.c shell.c &&
		"$musl_cc" -O2 -DSQLITE_THREADSAFE=1 -c sqlite3.c shell.c
}

link_sqlite3() {
	"$musl_cc" -o sqlite3 shell.o sqlite3.o >&2 && echo sqlite3
}

# tc needs headers that are only glibc's.
prepare_busybox() {
	make -s defconfig && sed -i 's/^CONFIG_TC=.*/CONFIG_TC=n/' .config
}

link_busybox() {
	make -s -j2 CC="$musl_cc" HOSTCC=gcc LDLIBS=m busybox_unstripped >&2 &&
		echo busybox_unstripped
}

prepare_redis() {
	:
}

link_redis() {
	make -s -j2 CC="$musl_cc" MALLOC=libc OPTIMIZATION=-O2 redis-server >&2 &&
		echo src/redis-server
}

# make_program NAME PACKAGE - builds $cache/built/NAME.plain, once. Returns 1 if there is no source,
# 2 if it does not build.
make_program() {
	local name=$1 built
	[ -x "$cache/built/$name.plain" ] && return
	source_of "$2" || return 1
	rm -rf "$cache/built/$name" && mkdir -p "$cache/built" &&
		cp -a "$cache/$2" "$cache/built/$name" && cd "$cache/built/$name" || return 2
	built=$({ prepare_"$name" >&2 && link_"$name"; } 2>../"$name.log") &&
		cp "$built" ../"$name.plain" || return 2
}

# link_with NAME KIND FILE - links $cache/built/NAME.KIND with a file of the library.
link_with() {
	local built
	cd "$cache/built/$1" &&
		built=$(link_"$1" 2>>../"$1.log") && rm -f "$built" &&
		built=$(MUSL_LINK="$3 -Wl,--eh-frame-hdr" link_"$1" 2>>../"$1.log") &&
		mv "$built" ../"$1.$2"
}

# build_programs - builds all. Sets $built, the programs that there are now, and $failed.
cost=$cache/cost
build_programs() {
	local name package
	built=() failed=0
	write_compiler
	musl-gcc -O2 -static "$root/tests/musl/cost.c" -o "$cost" || failed=1
	for name in "${programs[@]}"; do
		package=$name
		[ "$name" != lua ] || package=lua5.4
		(make_program "$name" "$package") &&
			(link_with "$name" object "$build/goalloc.o") &&
			(link_with "$name" archive "$build/libgoalloc.a")
		case $? in
		0) built+=("$name") ;;
		1) echo "musl.$name: skipped, its source cannot be had by apt-get" ;;
		*)
			echo "musl.$name: FAILED, it does not build:"
			tail -n 5 "$cache/built/$name.log"
			failed=1
			;;
		esac
	done
}

# work NAME KIND - runs a program with musl's malloc (plain), preloaded with the library for musl or
# with the one for glibc, or linked. Prints what work.py prints.
work() {
	local kind=$2 lib=''
	case $kind in
	preloaded) kind=plain lib=$build/libgoalloc.so ;;
	glibcs) kind=plain lib=$root/build/libgoalloc.so ;;
	esac
	python3 "$root/tests/musl/work.py" "$cost" "$1" "$lib" "$cache/built/$1.$kind"
}

# run_programs - checks that each program writes the same in every way, and that it used the heap.
run_programs() {
	local name kind expected text stats=$cache/stats
	type python3 >/dev/null 2>&1 || {
		echo "musl.programs: skipped, no python3"
		return 0
	}
	build_programs
	for name in ${built[@]+"${built[@]}"}; do
		expected=$(work "$name" plain 2>/dev/null) || expected=''
		for kind in preloaded glibcs object archive; do
			[ $kind != glibcs ] || [ -e "$root/build/libgoalloc.so" ] || continue
			rm -f "$stats"
			text=$(GOALLOC=stats=$stats work "$name" $kind 2>"$cache/errors")
			if [ $? = 0 ] && [ -n "$text" ] && [ "$text" = "$expected" ] &&
				grep -q '^goalloc: ' "$stats"; then
				echo "musl.$name.$kind: passed"
			else
				echo "musl.$name.$kind: FAILED, writes:" "$text" "not:" "$expected"
				cat "$cache/errors"
				failed=1
			fi
		done
	done
	return $failed
}
