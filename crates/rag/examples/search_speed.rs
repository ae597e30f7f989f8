//! How long a search takes: `cargo run --release -p rag --example search_speed [PASSAGES] [WIDTH]`, by words, by vectors and
//! by both, over made-up passages of a hundred words with made-up vectors.

use std::time::Instant;

use rag::{
    Embedder, EncoderIdentity, Index, Method, Passage, Result, Retriever, Settings, Vector, add_vectors,
};

/// Searches that are timed.
const QUERIES: usize = 50;

/// Vectors without a meaning.
struct Random(EncoderIdentity);

impl Embedder for Random {
    fn identity(&self) -> &EncoderIdentity {
        &self.0
    }

    fn passages(&self, texts: &[&str]) -> Result<Vec<Vector>> {
        texts.iter().map(|text| Ok(Vector { values: self.query(text)?, cut: 0 })).collect()
    }

    fn query(&self, text: &str) -> Result<Vec<f32>> {
        let mut state = text.bytes().fold(1u64, |state, byte| next(state ^ u64::from(byte)));
        let values: Vec<f32> = (0..self.0.width)
            .map(|_| {
                state = next(state);
                (state >> 40) as f32 / (1 << 24) as f32 - 0.5
            })
            .collect();
        let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
        Ok(values.into_iter().map(|value| value / length).collect())
    }
}

/// A step of splitmix64.
fn next(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Words of a vocabulary of 20,000, the first ones often, as in a language.
fn words(seed: u64, count: usize) -> String {
    let mut state = seed;
    let mut word = || {
        state = next(state);
        let uniform = (state >> 11) as f64 / (1u64 << 53) as f64;
        format!("w{}", (20_000f64.powf(uniform)) as usize)
    };
    (0..count).map(|_| word()).collect::<Vec<_>>().join(" ")
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let argument = |at: usize, default: usize| -> usize {
        std::env::args().nth(at).and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (count, width) = (argument(1, 50_000), argument(2, 768));
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("index");
    let passages: Vec<Passage> = (0..count)
        .map(|at| Passage { name: at.to_string(), text: words(at as u64, 100), ..Passage::default() })
        .collect();
    let embedder =
        Random(EncoderIdentity { name: "random".into(), place: "".into(), hash: "r".into(), width });
    let mut index = Index::build(&path)?;
    let clock = Instant::now();
    index.set_passages(&passages)?;
    let words_made = clock.elapsed();
    add_vectors(&mut index, &embedder, &mut |_, _| true)?;
    index.finish()?;
    println!(
        "{count} passages: words {:.1} s, vectors of {width} {:.1} s, {:.0} MB",
        words_made.as_secs_f64(),
        (clock.elapsed() - words_made).as_secs_f64(),
        std::fs::metadata(&path)?.len() as f64 / 1e6
    );
    let index = Index::open(&path)?;
    for method in [Method::Words, Method::Vectors, Method::Hybrid] {
        let clock = Instant::now();
        let search =
            Retriever::new(&index, Settings { method, ..Settings::default() }, Some(&embedder), None)?;
        let opened = clock.elapsed();
        let clock = Instant::now();
        for query in 0..QUERIES {
            search.search(&words(!(query as u64), 12))?;
        }
        let each = clock.elapsed().as_secs_f64() * 1e3 / QUERIES as f64;
        println!("{method:?}: {each:.1} ms a search, {:.2} s to open", opened.as_secs_f64());
    }
    Ok(())
}
