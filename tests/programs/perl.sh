# perl.sh - hashes, sorting, regular expressions, closures, fork and ithreads.
what="hashes, sorting, regular expressions, objects, fork, ithreads"
packages="perl"
programs="perl"

prepare() {
	cat >"$INPUT/script.pl" <<'END'
use strict; use warnings; use threads; use Thread::Queue; use Digest::MD5 'md5_hex';
use List::Util qw(sum shuffle reduce);
use Storable qw(freeze thaw); use Encode;
my $n = shift;
my $x = 42; sub rnd { $x = ($x * 16807) % 2147483647 }
my (%h, @a);
for (1 .. $n) { my $r = rnd(); my $k = "key" . $r % 5003; push @{ $h{$k}{list} }, $r;
$h{$k}{text} .= chr(97 + $r % 26); push @a, "$k:$r" }
delete $h{$_} for grep { /7$/ } keys %h;
print md5_hex(join ",", map { "$_=$h{$_}{text}" . sum(@{ $h{$_}{list} }) } sort keys %h), "\n";
@a = sort { length $a <=> length $b or $a cmp $b } @a; print md5_hex("@a"), "\n";
my $text = join "\n", @a; my %seen; $seen{$1}++ while $text =~ /^key(\d+):\d*?(?:3[0-9]|44)$/mg;
print scalar(keys %seen), "\n";
(my $t = $text) =~ s/(\d+)/<@{[$1 % 17]}>/ge; print md5_hex($t), "\n";
my @sub = map { my $i = $_; sub { $i += shift } } 1 .. 5000; $_->(3) for @sub;
print sum(map { $_->(1) } @sub), "\n";
package Node { sub new { my ($c, $d) = @_;
bless { d => $d, kids => [ map { Node->new($d - 1) } 1 .. ($d ? 3 : 0) ] }, $c }
  sub count { my $s = shift; my $c = 1; $c += $_->count for @{ $s->{kids} }; $c } }
print Node->new(8)->count, "\n";
my $copy = thaw(freeze(\%h)); print scalar(keys %$copy), "\n";
my $u = decode("UTF-8", "\xc3\xa4\xe2\x82\xac" x 20000);
print length($u), " ", length(encode("UTF-16", uc $u)), "\n";
my $s = ""; $s = $_ . $s for 1 .. 4000; print length $s, "\n"; vec(my $v, 1000000, 1) = 1;
print length $v, "\n";
$SIG{CHLD} = "DEFAULT";
for my $c (1 .. 8) { pipe my $r, my $w; if (!fork) { my %m = map { $_ => "$_" x 9 } 1 .. 9000;
print $w scalar(keys %m), "\n"; close $w; exit 0 } close $w; print <$r>; wait; print "$?\n" }
my $q = Thread::Queue->new; my @t = map { threads->create(sub { my $sum = 0;
while (defined(my $i = $q->dequeue)) { my @l = map { "$i.$_" } 1 .. 50;
$sum += @l } $sum }) } 1 .. 4;
$q->enqueue(1 .. 800); $q->end; print sum(map { $_->join } @t), "\n";
END
}

run_case() { perl "$INPUT/script.pl" "$(pick 40000 200000)"; }
