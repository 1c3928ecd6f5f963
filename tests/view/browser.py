#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""browser.py GOALLOC_VIEW LIBGOALLOC [--shots DIRECTORY]

Looks at the pages of a running redis and of a python3 with a heap of 1 GiB in headless Chromium:
that they load, show the process's numbers, hover, zoom, fit a telephone, and survive the end of the
process. With --shots it keeps pictures of them. Exits with 77 if a program is missing.
"""

import base64
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

VIEW, LIBRARY = sys.argv[1:3]
SHOTS = sys.argv[4] if sys.argv[3:4] == ["--shots"] else None
STARTED = []


def check(condition, what):
    if not condition:
        raise SystemExit("FAILED: " + str(what))


def start(command, **more):
    process = subprocess.Popen(command, **more)
    STARTED.append(process)
    return process


class Browser:
    """Chromium, driven over a pipe by its DevTools protocol: JSON with a null behind it."""

    def __init__(self, program, directory):
        to_read, self.to_write = os.pipe()
        self.to_read, to_write = os.pipe()

        def place():
            # Chromium reads descriptor 3 and writes 4.
            a, b = os.dup(to_read), os.dup(to_write)
            os.dup2(a, 3)
            os.dup2(b, 4)

        self.process = start(
            [program, "--headless", "--no-sandbox", "--remote-debugging-pipe", "--disable-gpu",
             "--no-first-run", "--disable-extensions", "--user-data-dir=" + directory,
             "about:blank"], preexec_fn=place, close_fds=False, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_read)
        os.close(to_write)
        self.bytes, self.last, self.errors, self.urls, self.session = b"", 0, [], [], None

    def receive(self, seconds):
        while b"\0" not in self.bytes:
            if not select.select([self.to_read], [], [], seconds)[0]:
                raise SystemExit("FAILED: the browser does not answer")
            part = os.read(self.to_read, 1 << 20)
            check(part, "the browser has ended")
            self.bytes += part
        message, _, self.bytes = self.bytes.partition(b"\0")
        message = json.loads(message)
        if message.get("method") == "Runtime.exceptionThrown":
            self.errors.append(message["params"]["exceptionDetails"])
        if message.get("method") == "Network.requestWillBeSent":
            self.urls.append(message["params"]["request"]["url"])
        return message

    def call(self, method, **params):
        self.last += 1
        message = {"id": self.last, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to_write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive(60)
            if answer.get("id") == self.last:
                check("error" not in answer, answer)
                return answer["result"]

    def open(self, url, width=1400, height=900, dark=False):
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target,
                                 flatten=True)["sessionId"]
        for domain in ["Page", "Runtime", "Network"]:
            self.call(domain + ".enable")
        self.size(width, height)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.call("Page.navigate", url=url)

    def size(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=False)

    def ask(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True,
                           awaitPromise=True)
        check("exceptionDetails" not in result, (expression, result))
        return result["result"].get("value")

    def until(self, expression, seconds=30):
        """Waits until the expression is true. Returns the seconds that it took."""
        begin = time.monotonic()
        while not self.ask(expression):
            check(time.monotonic() - begin < seconds, "never true: " + expression)
            time.sleep(0.02)
        return time.monotonic() - begin

    def mouse(self, kind, x, y, **more):
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def key(self, key):
        for kind in ["keyDown", "keyUp"]:
            self.call("Input.dispatchKeyEvent", type=kind, key=key)

    def box(self, selector):
        """Brings an element into sight. Returns the middle of it."""
        return self.ask("(e => { e.scrollIntoView({block: 'center'});"
                        "const b = e.getBoundingClientRect();"
                        "return [b.x + b.width / 2, b.y + b.height / 2]; })"
                        "(document.querySelector(%s))" % json.dumps(selector))

    def click(self, selector, count=1):
        # What was just drawn above it may still move it.
        x, y = before = self.box(selector)
        for _ in range(50):
            time.sleep(0.05)
            x, y = self.box(selector)
            if [x, y] == before:
                break
            before = [x, y]
        self.mouse("mouseMoved", x, y)
        for n in range(1, count + 1):
            for kind in ["mousePressed", "mouseReleased"]:
                self.mouse(kind, x, y, button="left", clickCount=n)

    def shot(self, name):
        if SHOTS is None:
            return
        self.ask("scrollTo(0, 0)")
        height = self.ask("document.documentElement.scrollHeight")
        picture = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip={
            "x": 0, "y": 0, "width": self.ask("innerWidth"), "height": height, "scale": 1})
        with open(os.path.join(SHOTS, name + ".png"), "wb") as f:
            f.write(base64.b64decode(picture["data"]))


def serve(pid):
    """Starts goalloc-view for a process. Returns its process and the address."""
    server = start([VIEW, "--serve", "127.0.0.1:0", str(pid)], stdout=subprocess.PIPE, text=True)
    line = server.stdout.readline()
    found = re.search(r"http://127\.0\.0\.1:\d+/", line)
    check(found, "goalloc-view --serve says: " + repr(line))
    return server, found.group(0)


def fetch(url):
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.load(answer)


def bytes_of(text):
    number, unit = re.match(r"([\d.]+)\s*(\w+)$", text).groups()
    return float(number) * 1024 ** ["B", "KiB", "MiB", "GiB", "TiB"].index(unit)


SHOWN = ("typeof map !== 'undefined' && map.spans !== null &&"
         "document.querySelectorAll('#figures dd').length > 0")


def loads(browser, url, name, seconds):
    begin = time.monotonic()
    browser.open(url)
    browser.until(SHOWN)
    took = time.monotonic() - begin
    print("%s: the page is there after %.2f s" % (name, took))
    check(took < seconds, "the page of %s takes %.2f s" % (name, took))


def shows_its_numbers(browser, url):
    stats = fetch(url + "stats.json")
    figures = dict(browser.ask("[...document.querySelectorAll('#figures > div')].map(e => "
                               "[e.children[0].textContent, e.children[1].textContent])"))
    for name, key in [("Live objects", "live_bytes"), ("Resident", "resident_bytes")]:
        shown, told = bytes_of(figures[name]), stats[key]
        check(abs(shown - told) <= 0.1 * told + (1 << 20), (name, figures[name], told))
    check(browser.ask("document.getElementById('program').textContent") == stats["program"],
          "the name of the program")
    check(browser.ask("document.querySelectorAll('#classes tbody tr').length") > 3, "classes")
    check(browser.ask("document.querySelectorAll('#threads tbody tr').length") > 0, "threads")
    heap = fetch(url + "heap.json")
    pages = sum(span[1] for arena in heap["arenas"] for span in arena["spans"])
    drawn = browser.ask("map.arenas.reduce((n, a) => n + a.cells.filter(c => c >= 0).length, 0)")
    check(abs(pages - drawn) <= 0.1 * pages + 64, ("pages in spans", pages, drawn))
    # What is drawn is seen: the canvas has several colours.
    browser.until("new Set(new Uint32Array($('map').getContext('2d').getImageData("
                  "0, 0, $('map').width, $('map').height).data.buffer)).size > 3", 5)


def hovers(browser):
    """Moves over the map until it says what lies there."""
    for i in range(100):
        x, y = browser.box("#map")
        browser.mouse("mouseMoved", x + i % 9, y)
        if browser.ask("!$('tip').hidden && /Address/.test($('tip').textContent)"):
            return
        time.sleep(0.05)
    check(False, "the map does not say what the pointer is over")


def hovers_and_zooms(browser):
    hovers(browser)
    before = browser.ask("map.scale")
    browser.click("#map", 2)
    browser.until("map.scale > 2 * %r" % before, 5)
    browser.click("#map-in")
    browser.until("map.scale > 3 * %r || map.scale === SCALE_MAX" % before, 5)
    place = browser.ask("[map.x, map.y]")
    x, y = browser.box("#map")
    browser.mouse("mousePressed", x, y, button="left", clickCount=1)
    browser.mouse("mouseMoved", x - 40, y - 30, button="left", buttons=1)
    browser.mouse("mouseReleased", x - 40, y - 30, button="left", clickCount=1)
    check(browser.ask("[map.x, map.y]") != place, "the map does not move")
    browser.click("#map-fit")
    browser.until("map.scale === map.fit", 5)
    browser.ask("$('map').focus()")
    browser.key("ArrowRight")
    browser.key("ArrowDown")
    browser.until("/Address/.test($('map-read').textContent)", 5)
    for mode in ["fill", "change", "size"]:
        browser.click("#map-mode [data-value=%s]" % mode)
        browser.until("map.mode === '%s'" % mode, 5)


def shows_call_stacks(browser):
    """The flame graph hovers, zooms, finds functions, and changes what it counts."""
    browser.until("flame.root !== null && flame.root.value > 0 && flame.boxes.length > 5")
    browser.box("#flame")
    place = ("(() => { const b = flame.boxes.find(b => b.node.depth === 3), "
             "r = $('flame').getBoundingClientRect();"
             "return [r.x + b.x + b.w / 2, r.y + b.y + 9]; })()")
    x, y = browser.ask(place)
    browser.mouse("mouseMoved", x, y)
    browser.until("!$('tip').hidden && /Live/.test($('tip').textContent)", 5)
    for kind in ["mousePressed", "mouseReleased"]:
        browser.mouse(kind, x, y, button="left", clickCount=1)
    browser.until("flame.zoom !== null && flame.zoom.depth === 3", 5)
    browser.ask("$('flame').focus()")
    browser.key("Escape")
    browser.until("flame.zoom === null", 5)
    browser.click("#flame-mode [data-value=alloc]")
    browser.click("#flame-unit [data-value=objects]")
    browser.until("flame.mode === 'alloc' && flame.unit === 'objects'", 5)
    check(browser.ask("document.querySelectorAll('#flame-top tbody tr').length") > 3, "functions")


def says_how_to_sample(browser):
    browser.until("!$('flame-note').hidden && /takes no samples/.test($('flame-note').textContent)")


def looks_for_leaks(browser):
    browser.click("#leaks-look")
    browser.until("$('leaks-look').textContent === 'Look again'", 60)
    check(browser.ask("/none|object/.test($('leaks-sum').textContent)"),
          browser.ask("$('leaks').textContent"))


def is_fluent(browser):
    """Draws the map 60 times while it is zoomed and moved. Returns ms a frame."""
    ms = browser.ask("(async () => { const begin = performance.now();"
                     "for (let i = 0; i < 60; i++) { zoomMap(i < 30 ? 1.1 : 1 / 1.1, 300, 200);"
                     "await new Promise(requestAnimationFrame); }"
                     "return (performance.now() - begin) / 60; })()")
    print("a frame of the map takes %.1f ms" % ms)
    check(ms < 100, "the map takes %.1f ms a frame" % ms)


def fits(browser, name):
    for width in [380, 900, 1400]:
        for dark in [False, True]:
            browser.size(width, 900)
            browser.call("Emulation.setEmulatedMedia", features=[
                {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
            browser.until("document.documentElement.hasAttribute('data-dark') === %s"
                          % str(dark).lower(), 5)
            time.sleep(0.3)
            check(browser.ask("document.documentElement.scrollWidth") <= width,
                  "the page is wider than %d" % width)
            browser.shot("%s-%d-%s" % (name, width, "dark" if dark else "light"))


def survives_the_end(browser, process):
    process.kill()
    process.wait()
    browser.until("/has ended/.test($('state').textContent)", 15)
    check(browser.ask(SHOWN), "the picture is gone")
    check(browser.ask("$('leaks-look').disabled"), "leaks can still be looked for")
    hovers(browser)


def nothing_from_outside(browser, url):
    strangers = [u for u in browser.urls if not u.startswith((url, "data:", "about:"))]
    check(not strangers, ("requests to others", strangers))
    check(not browser.errors, browser.errors)


def redis(directory):
    port = 20000 + os.getpid() % 20000
    process = start([shutil.which("redis-server"), "--port", str(port), "--save", "",
                     "--dir", directory], stdout=subprocess.DEVNULL,
                    env={**os.environ, "LD_PRELOAD": LIBRARY,
                         "GOALLOC": "memprofilerate=64KiB,profile=%s/redis.pb.gz" % directory})
    for _ in range(300):
        try:
            with socket.create_connection(("127.0.0.1", port)) as s:
                for i in range(200):
                    lines = ["SET key:%d:%d %s\r\n" % (i, k, "x" * (k * 7 % 400))
                             for k in range(200)]
                    s.sendall("".join(lines).encode())
                    got = 0
                    while got < 5 * len(lines):
                        got += len(s.recv(1 << 16))
            return process
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise SystemExit("FAILED: redis does not start")


def large_python():
    program = ("import sys\n"
               "keep = [bytes(100 + i % 900) for i in range(1500000)]\n"
               "keep += [bytearray(70000 + i) for i in range(3000)]\n"
               "del keep[100000:300000:3]\n"
               "print('ready', flush=True)\n"
               "sys.stdin.read()\n")
    process = start([sys.executable, "-c", program], stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE, text=True,
                    env={**os.environ, "LD_PRELOAD": LIBRARY, "PYTHONMALLOC": "malloc"})
    check(process.stdout.readline() == "ready\n", "python3 does not run")
    return process


def main(directory):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    for name, program in [("chromium", chromium), ("redis-server", shutil.which("redis-server"))]:
        if program is None:
            print("skipped: there is no " + name)
            return 77
    browser = Browser(chromium, directory)
    for name, process, seconds in [("redis", redis(directory), 10),
                                   ("python3", large_python(), 20)]:
        _, url = serve(process.pid)
        loads(browser, url, name, seconds)
        shows_its_numbers(browser, url)
        hovers_and_zooms(browser)
        is_fluent(browser)
        if name == "redis":
            shows_call_stacks(browser)
        else:
            says_how_to_sample(browser)
        looks_for_leaks(browser)
        fits(browser, name)
        survives_the_end(browser, process)
        nothing_from_outside(browser, url)
        browser.urls.clear()
    print("the pages load, show their numbers, hover, zoom and stay after the end")
    return 0


def run():
    with tempfile.TemporaryDirectory(prefix="goalloc-page-",
                                     ignore_cleanup_errors=True) as directory:
        try:
            return main(directory)
        finally:
            for process in reversed(STARTED):
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)
                    process.wait()


sys.exit(run())
