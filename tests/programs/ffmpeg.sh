# ffmpeg.sh - encoders, decoders and filters in threads, with aligned buffers.
what="synthetic video and sound encoded, filtered and decoded in 2 threads; frames identical"
packages="ffmpeg"
programs="ffmpeg"

run_case() {
	local t
	t=$(pick 1 5)
	ffmpeg -v error -nostdin -f lavfi -i "testsrc2=duration=$t:size=640x360:rate=25" -f lavfi \
		-i "sine=duration=$t" -threads 2 -fflags +bitexact -flags:v +bitexact -flags:a \
		+bitexact \
		-c:v mpeg4 -q:v 4 -c:a flac -y out/a.mkv
	ffmpeg -v error -nostdin -threads 2 -i out/a.mkv -vf 'scale=320:-2,hue=s=2,boxblur=2' -f \
		framemd5 out/frames
	ffmpeg -v error -nostdin -i out/a.mkv -map 0:a -f md5 -
}
