use crate::args::DoctorArgs;
use crate::failure::Outcome;

pub(crate) fn run(_: &DoctorArgs) -> Outcome<()> {
    Ok(())
}
