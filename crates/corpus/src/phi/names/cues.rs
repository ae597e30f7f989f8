//! Words around a name that say it is a person's.

/// Relatives and others near a patient, in English and German.
const RELATIONS: &str = "\
    wife husband spouse partner fiancé fiancée fiance girlfriend boyfriend mother father mom mum dad parents son \
    sons daughter daughters brother brothers sister sisters sibling siblings twin twins aunt uncle niece nephew \
    cousin grandmother grandfather grandson granddaughter stepmother stepfather stepson stepdaughter neighbor \
    neighbour friend roommate caregiver carer guardian employer landlord ehefrau ehemann mutter vater sohn tochter \
    bruder schwester nachbar nachbarin betreuer betreuerin enkel enkelin";

/// Those who are treated.
const PATIENTS: &str = "\
    patient pt client boy girl baby toddler infant child lady gentleman man woman victim survivor patientin driver \
    passenger caller informant";

/// Those who treat, and others on duty.
const PROFESSIONS: &str = "\
    nurse physician doctor surgeon therapist physiotherapist pharmacist psychotherapist dietitian dietician \
    nutritionist worker interpreter midwife paramedic student resident fellow attending colleague assistant \
    coordinator consultant technician technologist registrar intern dentist chaplain officer counselor counsellor \
    manager hospitalist anesthetist anaesthetist obstetrician practitioner provider scribe author witness hausarzt \
    hausärztin oberarzt oberärztin pfleger schwester chefarzt chefärztin";

/// What somebody did: `seen by`.
const AGENTS: &str = "\
    accompanied administered admitted answered approved assessed assisted attended authored brought called checked \
    collected completed conducted confirmed consented cosigned counseled created dictated discharged documented done \
    drawn edited electronically entered evaluated examined found given interpreted interviewed inserted led made \
    managed obtained ordered performed placed prepared prescribed provided read received recorded referred removed \
    reported requested reviewed seen sent signed submitted supervised supported taken taught transcribed treated \
    verified visited witnessed written";

/// Talks: `spoke with`, `discussed at length with`.
const TALKS: &str = "\
    appointment call conversation consultation discussed discussion interview length met meeting phone reviewed \
    session spoke spoken talked together visit";

/// To whom something goes: `spoke to`.
const ADDRESSED: &str = "\
    according explained given handed listened message over referral referred returned sent speaking spoke spoken \
    talked talking transferred belongs";

/// What is about somebody: `a note on`.
const ABOUT: &str = "\
    appointment aunt behalf birth brother call care caregiver chart consent daughter ecg ekg examination father \
    guardian history husband letter management mother mri note parents records referral referring report results \
    scan seeing sending sister son uncle update wife x-ray death autopsy";

/// What patients do, behind their name.
const VERBS: &str = "\
    admits agreed agrees arrived arrives asked asks attended called came complained complains consented continues \
    declined declines denied denies describes described died endorses expired feels fell felt followed lives \
    mentioned mentions noted notes noticed passed presented presents recalls received recovered refused refuses \
    remained remains reported reports returned returns said says signed slept smoked smokes stated states stayed \
    stopped suffered takes thinks told tolerated took tried underwent understands understood verbalized visited \
    vomited walked walks wants went wishes woke works worked telephoned emailed requests requested c klagt berichtet \
    verneint wünscht leidet";

/// What was done to patients, behind `was` and `is`.
const DONE: &str = "\
    admitted advised alert arrested asked asleep asymptomatic awake brought cleared comfortable counseled counselled \
    discharged doing examined extubated hospitalized hospitalised informed instructed intubated known married \
    present referred resting scheduled seen stable started told transferred unable willing divorced widowed born";

const HONORIFICS: &str = "\
    mr mrs ms miss dr prof herr frau";

/// How letters end.
const CLOSINGS: &str = "sincerely regards yours faithfully truly cordially wishes grüßen thanks";

/// What a word before a name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A relative.
    Relation,
    /// Who is treated.
    Patient,
    /// Who treats.
    Profession,
}

/// Whether a word is one of `words`, which spaces part.
fn holds(words: &str, word: &str) -> bool {
    words.split(' ').any(|known| known == word)
}

/// The role that a word in small letters names.
pub(super) fn role(lower: &str) -> Option<Role> {
    let is = |words| holds(words, lower);
    let specialist = lower.len() > 7
        && ["ologist", "iatrist", "iatrician", "ologin"].iter().any(|end| lower.ends_with(end));
    match () {
        () if is(RELATIONS) => Some(Role::Relation),
        () if is(PATIENTS) => Some(Role::Patient),
        () if is(PROFESSIONS) || specialist => Some(Role::Profession),
        () => None,
    }
}

/// Whether two words, the second next to a name, say that it is a person's: `seen by`, `spoke with`, `a note on`.
pub(super) fn leads_to_person(first: &str, second: &str) -> bool {
    match second {
        "by" | "durch" | "von" => holds(AGENTS, first),
        "with" => holds(TALKS, first),
        "to" => holds(ADDRESSED, first),
        "of" | "on" | "about" | "for" | "from" | "regarding" => holds(ABOUT, first),
        "sending" | "seeing" | "referring" => first == "for",
        "is" | "was" => first == "name" || first == "contact",
        _ => matches!(second, "meeting" | "met" | "dear" | "named" | "per"),
    }
}

/// Whether a word behind a name is what persons do.
pub(super) fn is_verb(lower: &str) -> bool {
    holds(VERBS, lower)
}

/// Whether a word behind `was` is what is done to persons.
pub(super) fn is_done_to_persons(lower: &str) -> bool {
    holds(DONE, lower)
}

/// Whether it is `Mr` or the like.
pub(super) fn is_honorific(lower: &str) -> bool {
    holds(HONORIFICS, lower)
}

/// Whether a text ends as a letter does before its signature.
pub(super) fn closes_letter(before: &str) -> bool {
    const LONGEST: usize = 24;
    let before = before.trim_end().trim_end_matches([',', '.', ';']);
    let from = before.char_indices().rev().nth(LONGEST).map_or(0, |(at, _)| at);
    let end = before[from..].to_lowercase();
    let last = end.rsplit(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
    holds(CLOSINGS, last) || end.ends_with("thank you") || end.ends_with("electronically signed")
}

/// Whose relative: `her brother`.
pub(super) fn is_possessive(lower: &str) -> bool {
    matches!(lower, "his" | "her" | "their" | "my" | "our" | "your" | "seine" | "ihre" | "ihr" | "sein")
}
