// SPDX-License-Identifier: MIT
//
// main.rs - a Rust program whose memory is goalloc's, linked from libgoalloc.a:
//
//     rustc --edition 2021 -O main.rs -L native=LIBDIR -l static=goalloc \
//         -C link-arg=-Wl,--eh-frame-hdr
//
// Linking alone is enough, because Rust's System allocator calls malloc. An allocator of its own
// tells the size at each free, which goalloc checks.

use std::alloc::{GlobalAlloc, Layout};

extern "C" {
    fn aligned_alloc(align: usize, size: usize) -> *mut u8;
    fn calloc(n: usize, size: usize) -> *mut u8;
    fn free_aligned_sized(p: *mut u8, align: usize, size: usize);
    fn goalloc_version() -> i32;
    fn goalloc_metric_read(name: *const u8, value: *mut u64) -> i32;
}

struct Goalloc;

unsafe impl GlobalAlloc for Goalloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        aligned_alloc(layout.align(), layout.size())
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() > 16.min(layout.size()) {
            let p = self.alloc(layout);
            if !p.is_null() {
                p.write_bytes(0, layout.size());
            }
            return p;
        }
        calloc(1, layout.size())
    }
    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        free_aligned_sized(p, layout.align(), layout.size())
    }
}

#[global_allocator]
static HEAP: Goalloc = Goalloc;

fn main() {
    let words: Vec<String> = (0..100_000).map(|i| format!("word {i}")).collect();
    let workers: Vec<_> = (0..4).map(|t| {
        let copy = words.clone();
        std::thread::spawn(move || copy.iter().skip(t).step_by(4).map(|w| w.len()).sum::<usize>())
    }).collect();
    let sum: usize = workers.into_iter().map(|w| w.join().unwrap()).sum();
    assert_eq!(sum, words.iter().map(|w| w.len()).sum());
    let zeros = vec![0u64; 1 << 16];
    assert!(zeros.iter().all(|&z| z == 0));
    let mut objects = 0u64;
    let name = b"/gc/heap/objects:objects\0".as_ptr();
    let found = unsafe { goalloc_metric_read(name, &mut objects) };
    assert!(found == 0 && objects > 100_000, "{objects} objects in goalloc's heap");
    println!("goalloc {}: {objects} objects", unsafe { goalloc_version() });
}
