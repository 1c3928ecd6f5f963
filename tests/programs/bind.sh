# bind.sh - BIND's programs are built for jemalloc and call the functions that only jemalloc has.
what="named on loopback with a large zone, dig, host, named-checkconf, named-checkzone"
packages="bind9 bind9-dnsutils bind9-host bind9-utils"
programs="named dig host named-checkconf named-checkzone"

prepare() {
	{
		printf '%s\n' "\$TTL 60" '@ IN SOA ns.test. admin.test. 1 600 600 600 600' \
			' IN NS ns' 'ns IN A 127.0.0.1'
		awk -v n="$(pick 2000 20000)" 'BEGIN { for (i = 0; i < n; i++) {
			printf "h%d IN A 10.%d.%d.%d\n", i, i / 65536, i / 256 % 256, i % 256
			printf "t%d IN TXT \"text %d\"\n", i, i * 7919 } }'
	} >"$INPUT/test.zone"
}

run_case() {
	local port i
	port=$(free_port)
	cp "$INPUT/test.zone" .
	cat >named.conf <<-END
		options {
			directory "$PWD"; pid-file "$PWD/pid"; session-keyfile "$PWD/key";
			managed-keys-directory "$PWD";
			listen-on port $port { 127.0.0.1; }; listen-on-v6 { none; };
			recursion no; dnssec-validation no; allow-transfer { any; }; querylog no;
		};
		controls { };
		zone "test" { type primary; file "$PWD/test.zone"; };
	END
	named-checkconf named.conf
	named-checkconf -p named.conf | grep -c zone
	named-checkzone test test.zone
	named-checkzone -D test test.zone 2>errors | sha256sum
	serve named -g -n 2 -c "$PWD/named.conf"
	wait_port "$port"
	active "$server"
	for ((i = 0; i < 200; i++)); do # it listens before the zone is loaded
		[ -z "$(dig @127.0.0.1 -p "$port" +short +tries=1 h1.test A)" ] || break
		sleep 0.05
	done
	for ((i = 0; i < 20; i++)); do dig @127.0.0.1 -p "$port" +short "h$i.test" A "t$i.test" TXT
	done
	dig @127.0.0.1 -p "$port" +noall +answer axfr test | sha256sum
	dig @127.0.0.1 -p "$port" +tcp +short nothing.test A
	host -p "$port" h7.test 127.0.0.1 | grep address
	host -p "$port" -t TXT t9.test 127.0.0.1 | grep text
	stop
}
