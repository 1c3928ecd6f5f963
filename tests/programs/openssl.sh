# openssl.sh - digests, ciphers, keys, certificates and TLS over the loopback.
what="digests, ciphers, keys, certificates, TLS server and client, speed"
packages="openssl"
programs="openssl"

prepare() { words "$(pick 30000 100000)" >"$INPUT/words"; }

run_case() {
	local port words=$INPUT/words cipher
	openssl dgst -sha3-256 <"$words" && openssl dgst -blake2b512 <"$words"
	for cipher in aes-256-cbc chacha20 camellia-128-ctr; do
		openssl enc "-$cipher" -pbkdf2 -iter 20000 -S 0102030405060708 -pass pass:x -in \
			"$words" -out "out/$cipher"
		openssl enc -d "-$cipher" -pbkdf2 -iter 20000 -S 0102030405060708 -pass pass:x -in \
			"out/$cipher" | sha256sum
	done
	openssl prime -generate -bits 256 | wc -l
	openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -subj \
		/CN=localhost -days 3 2>/dev/null
	openssl verify -CAfile cert.pem cert.pem &&
		openssl x509 -in cert.pem -noout -subject -issuer
	openssl dgst -sha256 -sign key.pem -out sig "$words" &&
		openssl dgst -sha256 -verify <(openssl x509 -in cert.pem -noout -pubkey) \
		-signature sig "$words"
	openssl cms -sign -nodetach -binary -in "$words" -signer cert.pem -inkey key.pem -outform \
		DER -out signed && openssl cms -verify -in signed -inform DER -CAfile cert.pem \
		-out back 2>&1 && wc -l <back
	port=$(free_port)
	cp "$words" words.txt
	serve openssl s_server -accept "127.0.0.1:$port" -cert cert.pem -key key.pem -WWW -quiet
	wait_port "$port"
	active "$server"
	for _ in {1..5}; do
		printf 'GET /words.txt HTTP/1.0\r\n\r\n' |
			openssl s_client -connect "127.0.0.1:$port" -CAfile cert.pem -quiet \
			-ign_eof -verify_return_error 2>/dev/null | sha256sum
	done
	[ "$MODE" = quick ] || openssl speed -seconds 1 -multi 2 -bytes 1024 sha256 ecdsap256 \
		>speed.log 2>&1
}
