//! What a step of the engine asks of the host's allocator: all its memory is made before the first.

// An allocator cannot be written without it.
#![allow(unsafe_code)]

mod small;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use model::Sampling;
use model::engine::{Engine, EngineSettings, Request, Stop};
use small::{adapted, config, text};

/// Counts what it hands out.
struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        BYTES.fetch_add(size, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The lists by which attention and products share out their work.
const LISTS_A_STEP: usize = 4096;

#[test]
fn a_step_allocates_nothing_but_a_few_small_lists() {
    let vocabulary = 5000;
    // On one thread: the scratch of a second is made at its first task, whenever that is.
    let decoder = adapted(&config(vocabulary), 1);
    // One guess at a time: a greedy text must not come to its end.
    let settings = EngineSettings { lookup: 1, ..EngineSettings::new(3, 250) };
    let mut engine = Engine::new(&decoder, settings).unwrap();
    let nucleus = Sampling { temperature: 1.0, top_p: 0.9, top_k: 500, ..Sampling::default() };
    for (seed, sampling) in
        [Sampling::default(), nucleus, Sampling { temperature: 0.5, ..Sampling::default() }]
            .into_iter()
            .enumerate()
    {
        let stop = Stop { max_tokens: 230, ..Stop::default() };
        let request = Request::greedy(text(20, seed as u64, vocabulary), stop);
        engine.submit(Request { sampling, ..request }).unwrap();
    }
    let mut events = Vec::with_capacity(1000);
    for _ in 0..10 {
        engine.step(&mut events);
    }
    for step in 0..100 {
        let before = BYTES.load(Ordering::Relaxed);
        engine.step(&mut events);
        let bytes = BYTES.load(Ordering::Relaxed) - before;
        assert!(bytes < LISTS_A_STEP, "{bytes} bytes in step {step}");
    }
    let load = engine.load();
    assert!(load.running == 3 && load.guessed_tokens > 0, "{load:?}");
}
