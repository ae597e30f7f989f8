use crate::args::Inspect;
use crate::failure::Outcome;

pub(crate) fn run(_: &Inspect) -> Outcome<()> {
    Ok(())
}
