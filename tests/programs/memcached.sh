# memcached.sh - memcached with its worker threads under a scripted client.
what="memcached with 4 threads, 6 scripted clients, eviction"
packages="memcached perl-base"
programs="memcached perl"

prepare() {
	cat >"$INPUT/client.pl" <<'END'
use strict; use warnings; use IO::Socket::INET;
my ($port, $n) = @ARGV; my @pids;
for my $c (1 .. 6) {
	pipe my $r, my $w; my $pid = fork // die; if ($pid) { close $w; push @pids, [ $pid, $r ];
	next }
	my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $port) or die;
	my ($stored, $hit, $wrong) = (0, 0, 0);
	for my $i (1 .. $n) {
		my $v = "$c-$i-" . "v" x ($i * 7919 % ($i % 50 ? 900 : 60000));
		printf $s "set k%d-%d 0 0 %d\r\n%s\r\n", $c, $i, length $v, $v;
		$stored++ if <$s> eq "STORED\r\n";
		print $s "get k$c-$i\r\n"; my $l = <$s>; next if $l eq "END\r\n"; my $got = <$s>;
		$got =~ s/\r\n//; $got eq $v ? $hit++ : $wrong++; <$s>;
		print $s "append k$c-$i 0 0 3\r\nxyz\r\n"; <$s>;
		if ($i % 3 == 0) { print $s "delete k$c-$i\r\n"; <$s> }
	}
	my $most = $hit > $n * 0.9 ? "yes" : "no: $hit";
	print $w "$c: stored $stored, wrong $wrong, most found $most\n"; exit 0;
}
for (@pids) { my $r = $_->[1]; print <$r>; waitpid $_->[0], 0; print "client failed\n" if $? }
END
}

run_case() {
	local port user
	port=$(free_port)
	other_user
	serve ${user[@]+"${user[@]}"} memcached -l 127.0.0.1 -p "$port" -U 0 -t 4 -m 16 -c 64
	wait_port "$port"
	active "$server"
	perl "$INPUT/client.pl" "$port" "$(pick 1500 6000)"
	printf 'stats\r\nflush_all\r\nget k1-1\r\nversion\r\nquit\r\n' |
		perl -MIO::Socket::INET -e \
		'$s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:" . shift) or die;
		print $s <STDIN>;
		print grep { /^(OK|END|VERSION|STAT (threads|limit_maxbytes))/ } <$s>' "$port"
	stop
}
