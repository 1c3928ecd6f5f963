# SPDX-License-Identifier: MIT
#
# plot.awk - the lines of several runs of endurance.c as one plot (SVG): what is resident over what
# is live, means of a minute (or of a thirtieth of a shorter run), against time. Variable seconds:
# how long the runs were. A file is named after its allocator.
function finish_point() {
	# Less than half of a point's samples are none.
	if (n >= step)
		point[name, npoints[name]++] = at / n " " resident / live
	n = at = resident = live = 0
}
function x_of(t) { return left + (right - left) * t / seconds }
function y_of(v) { return bottom - (bottom - top) * v / most }

BEGIN {
	left = 50; right = 720; top = 20; bottom = 300
	split("#c0392b #555555 #2471a3 #1e8449 #b7950b #7d3c98", colour, " ")
	step = seconds >= 1800 ? 60 : seconds / 30
}
FNR == 1 {
	finish_point()
	name = FILENAME
	sub(/.*\//, "", name)
	sub(/\.txt$/, "", name)
	order[++nnames] = name
	next_end = step
}
/^[0-9]/ {
	if ($1 >= next_end) {
		finish_point()
		next_end += step
	}
	n++; at += $1; live += $2; resident += $3
}
END {
	finish_point()
	most = 1
	for (i = 1; i <= nnames; i++)
		for (k = 0; k < npoints[order[i]]; k++) {
			split(point[order[i], k], v, " ")
			if (v[2] > most) most = v[2]
		}
	most = int(most) + 1
	print "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 860 350\" " \
		"font-family=\"sans-serif\" font-size=\"12\">"
	print "<rect width=\"860\" height=\"350\" fill=\"white\"/>"
	for (i = 0; i <= most; i++)
		printf "<path d=\"M%d %.1fH%d\" stroke=\"#ddd\"/>" \
			"<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%d</text>\n",
			left, y_of(i), right, left - 6, y_of(i) + 4, i
	for (i = 0; i <= 6; i++)
		printf "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g</text>\n",
			x_of(seconds * i / 6), bottom + 18, seconds * i / 360
	printf "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">minutes</text>\n",
		(left + right) / 2, bottom + 38
	printf "<text x=\"%d\" y=\"14\">resident / live</text>\n", left
	for (i = 1; i <= nnames; i++) {
		printf "<path fill=\"none\" stroke=\"%s\" stroke-width=\"%s\" d=\"",
			colour[i], order[i] == "goalloc" ? 2.5 : 1.5
		for (k = 0; k < npoints[order[i]]; k++) {
			split(point[order[i], k], v, " ")
			printf "%s%.1f %.1f", k == 0 ? "M" : "L", x_of(v[1]), y_of(v[2])
			last = v[2]
		}
		printf "\"/>\n<path d=\"M%d %dh16\" stroke=\"%s\" stroke-width=\"2\"/>" \
			"<text x=\"%d\" y=\"%d\">%s</text>\n",
			right + 12, top + 18 * i, colour[i], right + 34, top + 18 * i + 4, order[i]
	}
	print "</svg>"
}
