# SPDX-License-Identifier: MIT
#
# source.sh - fetches the sources of Debian's packages, for tests that build them; it is sourced.
#
# Sets $cache, the folder that keeps them, which the caller makes.

cache=${XDG_CACHE_HOME:-$HOME/.cache}/goalloc-musl

# source_of PACKAGE - unpacks the source of Debian's package into $cache/PACKAGE, once. The
# machine's apt may have no deb-src line, so it gets one of its own.
source_of() {
	local package=$1 apt=$cache/apt codename
	[ -d "$cache/$package" ] && return
	type apt-get >/dev/null 2>&1 || return 1
	codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$cache/$package.new"
	echo "deb-src http://deb.debian.org/debian $codename main" >"$apt/sources.list"
	local options=(-qq -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=-
		-o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache"
		-o APT::Sandbox::User=)
	[ -e "$apt/updated" ] || apt-get "${options[@]}" update >/dev/null 2>&1
	touch "$apt/updated"
	(cd "$cache/$package.new" &&
		apt-get "${options[@]}" source --download-only "$package" >/dev/null 2>&1 &&
		mkdir x && tar -xf "$(ls ./*.orig.tar.*[z2])" -C x --strip-components=1) || {
		rm -rf "$cache/$package.new" "$apt/updated"
		return 1
	}
	mv "$cache/$package.new/x" "$cache/$package" && rm -rf "$cache/$package.new"
}
