# imagemagick.sh - big pixel buffers, OpenMP threads, PNG and JPEG writers.
what="blur, resize, distort, PNG and JPEG writers; pixels identical"
packages="imagemagick"
programs="convert compare"

run_case() {
	local n
	n=$(pick 300 600)
	convert -size "${n}x$n" -seed 7 plasma:red-blue -depth 8 rgb:plasma
	convert -size "${n}x$n" -depth 8 rgb:plasma -blur 0x4 -resize 130% -rotate 17 -strip \
		-define png:exclude-chunks=date,time out/a.png
	convert -size "${n}x$n" -depth 8 rgb:plasma -swirl 90 -sharpen 0x2 -quality 80 -strip \
		out/b.jpg
	convert out/a.png out/b.jpg -append -colors 64 -depth 8 rgb:- | sha256sum
	compare -metric RMSE out/a.png out/a.png null: 2>&1
	for _ in {1..10}; do convert -size 200x200 gradient:white-black -depth 8 gray:-; done |
		sha256sum
}
