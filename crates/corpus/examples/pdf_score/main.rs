//! Scores the PDF reader, or ready Markdown of another tool, against publishers' XML and table truth.
//!
//! ```text
//! pdf_score DATA [--markdown FOLDER] [--no-outline] [--print PAPER]
//! ```
//!
//! `DATA` is a folder with `jats_pairs`, `icdar2013` and `olmocr_bench`. With `--markdown`, the files
//! `FOLDER/jats_pairs/PAPER.md`, `FOLDER/icdar2013/NAME.md` and `FOLDER/olmocr_bench/NAME.md` are scored instead.

mod facts;
mod output;
mod paper;
mod tables;
mod truth;

use std::path::{Path, PathBuf};

use output::Source;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let data = PathBuf::from(arguments.next().ok_or("which folder holds the papers?")?);
    let (mut source, mut print) = (Source::Reader { outline: true }, None);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--markdown" => {
                source = Source::Folder(arguments.next().ok_or("which folder?")?.into());
            }
            "--no-outline" => source = Source::Reader { outline: false },
            "--print" => print = Some(arguments.next().ok_or("which paper?")?),
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    if let Some(file) = print {
        print!("{}", source.convert("", Path::new(&file))?.cleaned);
        return Ok(());
    }
    papers(&data, &source)?;
    let score = tables::icdar(&data, &source, true)?;
    println!("ICDAR 2013 cells: recall {:.3} precision {:.3} F1 {:.3}", score.0, score.1, score.2);
    let lines = facts::olmocr(&data, &source, true)?;
    for (kind, (passed, all)) in lines {
        println!("olmOCR-bench {kind}: {passed} of {all}");
    }
    Ok(())
}

fn papers(data: &Path, source: &Source) -> Result<(), Box<dyn std::error::Error>> {
    println!(
        "| paper | recall | order | scrambled | headings P | R | F1 | nesting | heads left | precision | cells F1 | s |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    let mut sum = paper::Score::default();
    let names = truth::papers(data)?;
    for name in &names {
        let score = paper::score(data, name, source)?;
        println!("| {name} | {score}");
        sum.add(&score);
    }
    println!("| all | {}", sum.mean(names.len()));
    Ok(())
}
