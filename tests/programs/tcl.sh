# tcl.sh - Tcl has a thread cache of its own over malloc; lists, dicts, strings, regular
# expressions.
what="lists, dicts, strings, regular expressions, nested interpreters"
packages="tcl"
programs="tclsh"

prepare() {
	cat >"$INPUT/script.tcl" <<'END'
set n [lindex $argv 0]; set x 42
proc rnd {} { global x; set x [expr {($x * 16807) % 2147483647}] }
for {set i 0} {$i < $n} {incr i} { dict append d key[expr {[rnd] % ($n / 7)}] [format %x, [rnd]] }
puts [dict size $d]; set s ""
foreach k [lsort [dict keys $d]] { append s $k : [dict get $d $k] \n }
puts [string length $s]; puts [regsub -all {([0-9])([a-f])} $s {<\2\1>} t];
puts [string range $t 0 80]; puts [zlib crc32 [zlib inflate [zlib deflate $t]]]
for {set i 0} {$i < 50} {incr i} { set p [interp create]; puts [$p eval { set l {};
for {set j 0} {$j < 500} {incr j} { lappend l [string repeat $j 9] };
string length [join [lsort $l] ,] }]; interp delete $p }
puts [llength [lsort -unique [split $s :,\n]]]
END
}

run_case() { tclsh "$INPUT/script.tcl" "$(pick 15000 60000)"; }
