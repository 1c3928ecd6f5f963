# preload.sh - the library is in the processes of a case, their children and grandchildren.
what="children by fork, exec, xargs and setpriv have the library"
packages="bash perl-base util-linux findutils"
programs="bash sh perl setpriv xargs env"

run_case() {
	local how=absent user maps
	[ -z "${LD_PRELOAD-}" ] || how=there
	maps="grep -q -F $LIBRARY /proc/self/maps && echo there || echo absent"
	other_user
	{
		sh -c "$maps"
		(bash -c "sh -c '$maps'")
		echo "$maps" | xargs -I{} sh -c '{}'
		env -u HOME sh -c "$maps"
		perl -e 'for (1..4) { if (!fork) { exec "sh", "-c", $ARGV[0] } wait }' "$maps"
		${user[@]+"${user[@]}"} sh -c "$maps"
		perl -e 'if (!fork) {
			open F, "/proc/self/maps";
			print((grep { index($_, $ARGV[0]) >= 0 } <F>) ? "there\n" : "absent\n");
			exit
		} wait' "$LIBRARY"
	} >seen
	sort seen | uniq -c | tr -s ' ' >&2
	[ "$(sort -u seen)" = "$how" ]
	wc -l <seen
	env -i sh -c "$maps" # and nothing brings it back
}
