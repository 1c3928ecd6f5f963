# clisp.sh - a Lisp whose own heap lies at fixed addresses.
what="CLISP, 40 starts, bignums, garbage collections and a compiled file"
packages="clisp"
programs="/usr/lib/clisp-2.49.93+/base/lisp.run"

run_case() {
	local i
	for ((i = 0; i < $(pick 40 200); i++)); do
		clisp -q -q -norc -x '(+ 1 2)' 2>&1
	done | sort | uniq -c
	cat >work.lisp <<-'END'
		(defun fact (n) (if (< n 2) 1 (* n (fact (1- n)))))
		(defun grow (n) (let ((l nil)) (dotimes (i n) (push (make-string (mod i 100)) l)) (length l)))
		(print (mod (fact 600) 1000007))
		(dotimes (i 5) (print (grow 20000)) (gc))
	END
	clisp -q -q -norc -c work.lisp 2>&1 | grep -c -i warning: || true
	clisp -q -q -norc work.fas
}
