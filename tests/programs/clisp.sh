# clisp.sh - a Lisp whose heap is at fixed addresses: it warns when something else is there.
what="starts, and a computation, of a Lisp with a heap at fixed addresses"
packages="clisp"
programs="/usr/lib/clisp-2.49.93+/base/lisp.run"

run_case() {
	local i
	for i in $(seq "$(pick 10 50)"); do
		clisp -q -norc -x '(+ 1 2)' 2>&1
	done
	clisp -q -norc -x '(let ((l (loop for i below 100000 collect (* i i))))
		(gc) (reduce (function +) l))' 2>&1
}
