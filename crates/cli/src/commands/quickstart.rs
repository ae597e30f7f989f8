use crate::args::QuickstartArgs;
use crate::failure::Outcome;

pub(crate) fn run(_: &QuickstartArgs) -> Outcome<()> {
    Ok(())
}
