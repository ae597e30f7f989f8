//! What stands around a match, and what speaks against it.

use super::names;
use super::recognisers::Candidate;
use super::valid;

/// Numbers that nobody's telephone has: those of organisations, free of charge.
const TOLL_FREE: [&str; 7] = ["800", "833", "844", "855", "866", "877", "888"];

/// Sites that name no person: governments, standards, licences and registers of publications.
const PUBLIC_SITES: [&str; 12] = [
    ".gov",
    ".int",
    ".mil",
    "doi.org",
    "creativecommons.org",
    "wikipedia.org",
    "w3.org",
    "europa.eu",
    "nhs.uk",
    "cochrane.org",
    "crossref.org",
    "pubmedcentral.org",
];

/// Words that follow a label without being a name.
const NO_NAMES: [&str; 62] = [
    "a",
    "absent",
    "agrees",
    "alert",
    "alive",
    "an",
    "and",
    "any",
    "are",
    "at",
    "complains",
    "deceased",
    "denied",
    "denies",
    "discharged",
    "done",
    "female",
    "for",
    "had",
    "has",
    "have",
    "he",
    "healthy",
    "her",
    "his",
    "history",
    "i",
    "in",
    "is",
    "it",
    "male",
    "may",
    "n/a",
    "na",
    "no",
    "none",
    "not",
    "of",
    "on",
    "or",
    "patient",
    "pending",
    "present",
    "presents",
    "reports",
    "same",
    "see",
    "self",
    "she",
    "stable",
    "states",
    "tbd",
    "that",
    "the",
    "they",
    "this",
    "to",
    "unknown",
    "was",
    "we",
    "with",
    "yes",
];

/// Everything counts.
pub(super) fn always(_: &Candidate<'_>) -> bool {
    true
}

/// A name begins with no word of the language and is no heading.
pub(super) fn is_name(candidate: &Candidate<'_>) -> bool {
    let found = candidate.found();
    let first = found.split([' ', ',']).next().unwrap_or_default().to_lowercase();
    !NO_NAMES.contains(&first.as_str()) && found.chars().filter(|c| c.is_alphabetic()).count() > 1
}

/// A name behind a title in capitals, or `Doctor`, begins with no word of the language: `MS. Most`, `Your Doctor About`.
pub(super) fn is_titled_name(candidate: &Candidate<'_>) -> bool {
    let before = candidate.before().trim_end();
    let doubtful = ["MS.", "MR.", "DR.", "Doctor", "Professor"].iter().any(|title| before.ends_with(title));
    is_name(candidate) && !(doubtful && names::begins_ordinary(candidate.found()))
}

/// A name behind a label has a word that is none of the language: `Re: Young Adults` has not.
pub(super) fn is_labelled_name(candidate: &Candidate<'_>) -> bool {
    is_name(candidate) && !names::is_ordinary(candidate.found())
}

/// A number has three digits at least: `Group A2` is none.
pub(super) fn has_digits(candidate: &Candidate<'_>) -> bool {
    candidate.found().bytes().filter(u8::is_ascii_digit).count() >= 3
}

/// Four digits that begin with 19 or 20 may be a year, fewer than four a count.
pub(super) fn is_long_number(candidate: &Candidate<'_>) -> bool {
    candidate.found().bytes().filter(u8::is_ascii_digit).count() >= 5
}

/// A telephone number of a person: seven digits at least, and not free of charge.
pub(super) fn is_phone(candidate: &Candidate<'_>) -> bool {
    let digits: String = candidate.found().chars().filter(char::is_ascii_digit).collect();
    let national = digits.strip_prefix('1').filter(|rest| rest.len() >= 10).unwrap_or(&digits);
    digits.len() >= 7 && !TOLL_FREE.iter().any(|free| national.len() >= 10 && national.starts_with(free))
}

/// A date that exists.
pub(super) fn is_date(candidate: &Candidate<'_>) -> bool {
    let joined = candidate.after().starts_with(|c: char| c == '/' || c == '%' || c.is_ascii_digit());
    valid::is_date(candidate.found()) && !joined
}

/// A date with two digits for its year, which a ratio or a version may look like.
pub(super) fn is_short_date(candidate: &Candidate<'_>) -> bool {
    let part_of_number = candidate.after().starts_with(['.', '/', '-'])
        && candidate.after()[1..].starts_with(|c: char| c.is_ascii_digit());
    let before = candidate.before().trim_end().to_lowercase();
    is_date(candidate) && !part_of_number && !before.ends_with("version") && !before.ends_with("section")
}

/// An age of one person, not the border of a group of people.
pub(super) fn is_age(candidate: &Candidate<'_>) -> bool {
    let (before, after) = (candidate.before().trim_end().to_lowercase(), candidate.after().to_lowercase());
    let of_group =
        ["over", "older than", "under", "above", "below", "than", "beyond", "least", "to", "until", "past"];
    let rest = after.trim_start_matches(|c: char| c.is_whitespace() || c == '-' || c == ')');
    let rest = ["years old", "year old", "years of age", "years", "old"]
        .iter()
        .find_map(|unit| rest.strip_prefix(unit))
        .unwrap_or(rest)
        .trim_start();
    let aggregate = [
        "and older",
        "or older",
        "and over",
        "or over",
        "and above",
        "or above",
        "+",
        "%",
        "percent",
        "and up",
    ];
    !of_group.iter().any(|word| before.ends_with(word))
        && !aggregate.iter().any(|word| rest.starts_with(word))
}

/// An address of the web that is not of a public body.
pub(super) fn is_private_site(candidate: &Candidate<'_>) -> bool {
    let found = candidate.found().to_lowercase();
    let rest = found.split_once("://").map_or(found.as_str(), |(_, rest)| rest);
    let host = rest.split(['/', ':', '?', '#']).next().unwrap_or_default().trim_end_matches('.');
    !PUBLIC_SITES.iter().any(|site| host.ends_with(site))
}

/// An address of the internet and no version or section.
pub(super) fn is_ip(candidate: &Candidate<'_>) -> bool {
    let found = candidate.found();
    let before = candidate.before().trim_end().to_lowercase();
    let version =
        ["version", "v", "v.", "release", "section", "build"].iter().any(|word| before.ends_with(word));
    // `4.3.5.2` numbers a section, or counts bones.
    let long = found.split('.').any(|part| part.len() > 1);
    (valid::is_ipv4(found) && !version && long && !found.starts_with("0."))
        || (found.len() > 6 && valid::is_ipv6(found))
}

/// A card's number.
pub(super) fn is_card(candidate: &Candidate<'_>) -> bool {
    let is_year = |group: &str| group.len() == 4 && (group.starts_with("19") || group.starts_with("20"));
    valid::is_card(candidate.found()) && !candidate.found().split([' ', '-']).all(is_year)
}

/// A bank account's number.
pub(super) fn is_iban(candidate: &Candidate<'_>) -> bool {
    valid::is_iban(candidate.found())
}

/// A vehicle's number.
pub(super) fn is_vin(candidate: &Candidate<'_>) -> bool {
    valid::is_vin(candidate.found())
}

/// A prescriber's number.
pub(super) fn is_dea(candidate: &Candidate<'_>) -> bool {
    valid::is_dea(candidate.found())
}

/// A social security number as they are given out: no area 000 or 666, and no piece of a longer number.
pub(super) fn is_ssn(candidate: &Candidate<'_>) -> bool {
    let digits: String = candidate.found().chars().filter(char::is_ascii_digit).collect();
    let part_of_number = candidate.before().ends_with(['-', '/', '.']) || candidate.after().starts_with('-');
    !part_of_number && !digits.starts_with("000") && !digits.starts_with("666") && !digits.ends_with("0000")
}
