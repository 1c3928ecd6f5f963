# java.sh - javac, then a program with threads, direct buffers, zip streams and forced collections.
what="javac and a threaded program with direct buffers, deflate and GC"
packages="default-jdk-headless"
programs="java javac"

prepare() {
	cat >"$INPUT/Load.java" <<'END'
import java.io.*; import java.nio.*; import java.util.*; import java.util.concurrent.*;
import java.util.stream.*; import java.util.zip.*;
public class Load {
	record Item(int id, String name, long[] data) { }
	static long work(int seed, int n) throws Exception {
		Random r = new Random(seed);
		Map<String, List<Item>> m = new TreeMap<>();
		long sum = 0;
		for (int i = 0; i < n; i++)
			m.computeIfAbsent("key" + r.nextInt(n / 7), k -> new ArrayList<>())
				.add(new Item(i, "n" + r.nextLong(), new long[r.nextInt(40)]));
		for (var e : m.entrySet())
			for (Item x : e.getValue())
				sum = sum * 31 + x.name().hashCode() + x.data().length;
		ByteArrayOutputStream out = new ByteArrayOutputStream();
		try (GZIPOutputStream z = new GZIPOutputStream(out)) {
			for (String k : m.keySet()) z.write(k.getBytes());
		}
		CRC32 crc = new CRC32();
		ByteArrayInputStream zipped = new ByteArrayInputStream(out.toByteArray());
		crc.update(new GZIPInputStream(zipped).readAllBytes());
		List<ByteBuffer> bufs = new ArrayList<>();
		for (int i = 0; i < 200; i++) {
			ByteBuffer b = ByteBuffer.allocateDirect(4 + r.nextInt(100000));
			b.putInt(0, 0);
			bufs.add(b);
			sum += b.capacity();
		}
		return sum ^ crc.getValue();
	}
	public static void main(String[] a) throws Exception {
		int n = Integer.parseInt(a[0]);
		ExecutorService pool = Executors.newFixedThreadPool(4);
		List<Future<Long>> fs = new ArrayList<>();
		for (int i = 0; i < 8; i++) { int s = i; fs.add(pool.submit(() -> work(s, n))); }
		for (var f : fs) System.out.println(f.get());
		pool.shutdown(); System.gc();
		for (int i = 0; i < 300; i++) {
			Thread t = new Thread(() -> new byte[10000].hashCode());
			t.start();
			t.join();
		}
		System.out.println(IntStream.range(0, n).parallel()
			.mapToObj(i -> "x" + i * 7919L % 10007)
			.collect(Collectors.groupingByConcurrent(String::length,
				Collectors.counting()))
			.entrySet().stream().sorted(Map.Entry.comparingByKey()).toList());
		Process p = new ProcessBuilder("echo", "child").start();
		String said = new String(p.getInputStream().readAllBytes()).trim();
		System.out.println(said + p.waitFor());
	}
}
END
}

run_case() {
	javac -J-Xmx256m -d out "$INPUT/Load.java"
	java -Xmx400m -cp out Load "$(pick 20000 50000)"
	[ "$MODE" = quick ] || java -Xmx400m -XX:+UseParallelGC -Xcomp -cp out Load 2000
	java -Xmx64m -XX:NativeMemoryTracking=summary -XX:+UseSerialGC -cp out Load 2000
}
