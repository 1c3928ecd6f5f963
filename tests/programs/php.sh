# php.sh - PHP with its own allocator and with USE_ZEND_ALLOC=0, where every object comes from
# malloc.
what="arrays, strings, JSON, regular expressions, cycles; with Zend's allocator and without"
packages="php-cli"
programs="php"

prepare() {
	cat >"$INPUT/script.php" <<'END'
<?php
$n = (int)$argv[1]; $x = 42; function rnd() { global $x; return $x = ($x * 16807) % 2147483647; }
$h = []; for ($i = 0; $i < $n; $i++) { $h['key' . rnd() % intdiv($n, 7)][] = rnd(); }
foreach (array_keys($h) as $i => $k) if ($i % 3 == 0) unset($h[$k]);
ksort($h); $s = json_encode($h);
echo strlen($s), ' ', md5($s), ' ', count(json_decode($s, true)), "\n";
echo md5(preg_replace_callback('/(\d)(\d)/', fn($m) => "<$m[2]$m[1]>",
	$s)), ' ', md5(serialize(unserialize(serialize($h)))), "\n";
class Node { public $kids = [], $up; function __construct($d, $up = null) { $this->up = $up;
for ($i = 0; $d && $i < 4; $i++) $this->kids[] = new Node($d - 1, $this);
} function count() { $c = 1; foreach ($this->kids as $k) $c += $k->count(); return $c; } }
for ($i = 0; $i < 3; $i++) { echo (new Node(6))->count(), "\n"; gc_collect_cycles(); }
function gen($n) { for ($i = 0; $i < $n; $i++) yield str_repeat((string)$i, 9); } $t = 0;
foreach (gen($n) as $v) $t += strlen($v); echo $t, "\n";
usort($h, fn($a, $b) => count($a) <=> count($b) ?: $a[0] <=> $b[0]);
echo count($h), ' ', $h[0][0], ' ', strtoupper(substr($s, 0,
	40)), ' ', strlen(gzcompress($s)), "\n";
END
}

run_case() {
	php "$INPUT/script.php" "$(pick 20000 150000)"
	USE_ZEND_ALLOC=0 php "$INPUT/script.php" "$(pick 20000 150000)"
}
