# browsers.sh - Chromium and Firefox with a window: programs that bring an allocator of their own.
what="Chromium and Firefox show a page in a window; its title is what its script worked out"
packages="chromium firefox-esr xvfb x11-utils xauth"
programs="/usr/lib/chromium/chromium /usr/lib/firefox-esr/firefox-esr Xvfb xwininfo"
limit=240

prepare() {
	cat >"$INPUT/page.html" <<'END'
<!DOCTYPE html><title>begun</title><canvas id=c width=300 height=200></canvas><p id=p></p><script>
let m = new Map(), s = 0;
for (let i = 0; i < 200000; i++)
	m.set("k" + i * 7919 % 100003, { i, a: new Array(i % 20).fill(i) });
for (let v of m.values()) s = (s * 31 + v.i + v.a.length) % 1000003;
for (let i = 0; i < 2000; i++) {
	let e = document.createElement("span");
	e.textContent = "word " + i;
	p.append(e);
}
let g = c.getContext("2d");
for (let i = 0; i < 300; i++) { g.fillStyle = `hsl(${i},90%,50%)`; g.fillRect(i, 0, 1, 200); }
let bytes = [...c.toDataURL()].slice(0, 10).map(x => x.charCodeAt());
let done = new TextDecoder().decode(new Uint8Array(bytes));
document.title = "result " + s + " " + done;
</script>
END
}

# shows COMMAND...: the title of its window, once the page's script has worked.
shows() {
	local title='' i pid
	"$@" >>browser.log 2>&1 &
	pid=$!
	for ((i = 0; i < 400; i++)); do
		title=$(xwininfo -root -tree 2>/dev/null | grep -o -m 1 '"result [0-9]* [^ "]*' ||
			true)
		[ -z "$title" ] || break
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.2
	done
	echo "window: $title"
	[ -z "$title" ] || { active "$pid" && sleep 1; }
	kill "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
	grep -a -e 'not mine' -e 'invalid pointer' -e 'double free' -e 'crashed' browser.log || true
}

run_case() {
	local display=$((100 + RANDOM % 400))
	serve Xvfb ":$display" -screen 0 800x600x24 -nolisten tcp
	export DISPLAY=":$display" MOZ_DISABLE_CONTENT_SANDBOX=1 MOZ_CRASHREPORTER_DISABLE=1
	for _ in {1..100}; do xwininfo -root >/dev/null 2>&1 && break; sleep 0.1; done
	mkdir profile
	shows /usr/lib/chromium/chromium --no-sandbox --disable-gpu --disable-quic --no-first-run \
		--disable-background-networking --disable-component-update --disable-sync \
		--disable-dev-shm-usage --user-data-dir="$PWD/chromium" "file://$INPUT/page.html"
	shows /usr/lib/firefox-esr/firefox-esr --new-instance --profile "$PWD/profile" \
		"file://$INPUT/page.html"
}
