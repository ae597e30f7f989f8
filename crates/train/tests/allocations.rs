//! What a step asks of the host's allocator. The memory of a run is made before it starts; what is left are the lists
//! that say what the loss found (three a batch) and those by which attention and norm share out their work.

// An allocator cannot be written without it.
#![allow(unsafe_code)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{base, config, recipe, samples};
use compute::Cpu;
use dataset::Batch;
use model::{Activations, Checkpointing, Decoder};
use train::{Optimizer, Plan, Recipe, Settings};

/// Counts what it hands out.
struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

fn counted(size: usize) {
    COUNT.fetch_add(1, Ordering::Relaxed);
    BYTES.fetch_add(size, Ordering::Relaxed);
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        counted(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        counted(size);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Lists that attention makes in forward and backward of a layer, their growth included.
const LISTS_A_LAYER: usize = 8;

/// Those of a forward, which a layer that keeps nothing makes twice.
const LISTS_AGAIN: usize = 4;

#[test]
fn a_step_allocates_nothing_but_the_loss_of_each_label_and_a_few_small_lists() {
    measure(&[], LISTS_A_LAYER);
    measure(&[Checkpointing::Full, Checkpointing::Attention], LISTS_A_LAYER + LISTS_AGAIN);
}

fn measure(checkpointing: &[Checkpointing], lists: usize) {
    let recipe =
        Recipe { micro_batch_tokens: 128, gradient_accumulation_steps: 2, num_epochs: 6, ..recipe() };
    let samples = samples(64);
    let plan = Plan::new(&recipe, &samples);
    // On one thread, so that every scratch has had its largest task when the plan has been gone through once.
    let source = base(&config());
    let mut decoder = Decoder::new(Arc::new(Cpu::new(1)), config(), &source, &recipe.trainable()).unwrap();
    let layers = decoder.config().layers;
    let mut activations =
        Activations::for_checkpointed_training(&decoder, plan.largest_batch, checkpointing).unwrap();
    let mut optimizer = Optimizer::new(&decoder, Settings::from(&recipe)).unwrap();
    let mut batch = Batch::with_capacity(plan.largest_batch, plan.most_examples());
    let mut worst = (0, 0);
    for (step, planned) in plan.steps.iter().chain(&plan.steps).enumerate() {
        let before = (COUNT.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed));
        optimizer.clear(&decoder);
        let mut labels = 0;
        for examples in &planned.batches {
            batch.refill(examples.iter().map(|&i| &samples[i]));
            labels += batch.rows.len();
            optimizer.accumulate(&decoder, &batch, &mut activations);
        }
        let norm = optimizer.grad_norm(&decoder);
        optimizer.step(&mut decoder, 1e-3, norm);
        let count = COUNT.load(Ordering::Relaxed) - before.0;
        let bytes = BYTES.load(Ordering::Relaxed) - before.1;
        if step >= plan.steps.len() {
            worst = (worst.0.max(count), worst.1.max(bytes));
            let batches = planned.batches.len();
            // Two numbers and a flag a label; the lists of attention have a few words a segment.
            assert!(count <= batches * (3 + lists * layers) + 1, "step {step}: {count} allocations");
            assert!(bytes <= 9 * labels + 128 * lists * layers * batches, "step {step}: {bytes} bytes");
        }
    }
    eprintln!("at most {} allocations and {} bytes in a step", worst.0, worst.1);
    assert!(plan.len() >= 20);
}
