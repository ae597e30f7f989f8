//! `medtune pull`: a model or a data set from the Hugging Face Hub into the local cache.

#[cfg(feature = "hub")]
mod download;
#[cfg(feature = "hub")]
pub(super) use download::run;

#[cfg(not(feature = "hub"))]
pub(super) fn run(args: &crate::args::PullArgs) -> crate::failure::Outcome<()> {
    let failure = crate::failure::Failure::input("this medtune was built without downloads");
    Err(failure.hint(format!(
        "build it with `cargo build --release --features hub`, or run `hf download {}` where Hugging Face's own tool is",
        args.name
    )))
}
