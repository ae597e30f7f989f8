//! Quantities in a text: doses, durations, frequencies, laboratory values, plain numbers.

use super::units::{Dimension, Unit, unit_at};
use regex::Regex;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::LazyLock;

/// A number with its unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantity {
    /// As it is written.
    pub text: String,
    /// The number as it is written.
    pub number: f64,
    /// The amount in base units: mg, ml, hours, months, mmol, mm, mmHg, °C, kcal.
    pub amount: f64,
    /// What is measured.
    pub dimension: Dimension,
    /// Half a step of the last digit, in base units, for units whose conversions are usually rounded (pounds,
    /// Fahrenheit).
    rounding: f64,
    imperial: bool,
    /// The words before and behind, in lower case.
    neighbours: [String; 2],
}

impl Quantity {
    /// Whether both are the same amount of the same thing: 0.5 g and 500 mg. Between pounds and kilograms, or
    /// Fahrenheit and Celsius, up to rounding.
    pub fn equals(&self, other: &Self) -> bool {
        let scale = self.amount.abs().max(other.amount.abs());
        let rounding = if self.imperial == other.imperial { 0.0 } else { self.rounding.max(other.rounding) };
        let same = self.dimension == other.dimension
            && (self.amount - other.amount).abs() <= rounding.max(1e-9 * scale);
        same || self.is_in_months(other) || other.is_in_months(self)
    }

    /// Whether `self`, in months or years, is as long as `other`, in days or weeks: a month has 28 to 31 days.
    fn is_in_months(&self, other: &Self) -> bool {
        let days = other.amount / 24.0;
        let apart = self.dimension == Dimension::months() && other.dimension == Dimension::time();
        apart && days >= 28.0 && (28.0 * self.amount..=31.0 * self.amount).contains(&days)
    }

    pub(super) fn same_number_other_unit(&self, other: &Self) -> bool {
        let units = !self.dimension.is_none() && !other.dimension.is_none();
        units && self.number == other.number && !self.equals(other)
    }

    /// Whether the two are likely to stand for the same thing.
    pub(super) fn comparable(&self, other: &Self) -> bool {
        let beside =
            |at: usize| !self.neighbours[at].is_empty() && self.neighbours[at] == other.neighbours[at];
        self.dimension == other.dimension && (!self.dimension.is_none() || beside(0) || beside(1))
    }
}

/// A number before its unit is settled.
struct Found {
    span: Range<usize>,
    number: f64,
    /// The last digit's place, 0.1 for 2.5.
    step: f64,
    unit: Option<Unit>,
    whole: bool,
}

const NUMBER: &str = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:[.,]\d+)?|\.\d+|[½¼¾⅓⅔⅛]";
const WORDS: [&str; 21] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
];
const TENS: [(&str, f64); 7] = [
    ("thirty", 30.0),
    ("forty", 40.0),
    ("fifty", 50.0),
    ("sixty", 60.0),
    ("seventy", 70.0),
    ("eighty", 80.0),
    ("ninety", 90.0),
];

/// All quantities of an English text, in the order in which they begin.
///
/// Written-out numbers count where a unit follows; "twice daily", "every 12 hours", "b.i.d." are frequencies. Numbers
/// inside names (B12, COVID-19), ordinals and the numbers of lists do not count. In "5–10 mg" both ends do.
pub fn quantities(text: &str) -> Vec<Quantity> {
    let found = numbers(text);
    // "500 mg once a day" is one quantity, "500 mg twice a day" are two.
    let inside =
        |span: &Range<usize>| found.iter().any(|f| f.span.start < span.start && span.end <= f.span.end);
    let mut all: Vec<(Range<usize>, Quantity)> =
        frequencies(text).into_iter().filter(|(span, _)| !inside(span)).collect();
    let free = |f: &Found| all.iter().all(|(span, _)| f.span.end <= span.start || span.end <= f.span.start);
    let found: Vec<&Found> = found.iter().filter(|f| free(f)).collect();
    let mut index = 0;
    while index < found.len() {
        let (first, next) = (found[index], found.get(index + 1).copied());
        let joint = next.map_or("", |next| text[first.span.end..next.span.start].trim());
        let half = next.filter(|next| joint == "/" && first.whole && next.whole && first.unit.is_none());
        if let Some(next) =
            half.filter(|next| first.number < next.number && [2.0, 3.0, 4.0, 8.0].contains(&next.number))
        {
            let fraction =
                Found { number: first.number / next.number, span: first.span.start..next.span.end, ..*next };
            all.push((fraction.span.clone(), quantity(text, &fraction, next.unit)));
            index += 2;
            continue;
        }
        // "5-10 mg", "120/80 mmHg": the unit of the second is that of the first.
        let shared = if matches!(joint, "-" | "–" | "—" | "to" | "/" | "or" | "and") {
            next.and_then(|next| next.unit)
        } else {
            None
        };
        all.push((first.span.clone(), quantity(text, first, first.unit.or(shared))));
        index += 1;
    }
    // No amount of anything has 300 digits.
    all.retain(|(_, quantity)| quantity.amount.is_finite());
    all.sort_by_key(|(span, _)| span.start);
    all.into_iter().map(|(_, quantity)| quantity).collect()
}

fn quantity(text: &str, found: &Found, unit: Option<Unit>) -> Quantity {
    let amount = |number: f64| unit.map_or(number, |unit| number * unit.factor + unit.offset);
    let factor = unit.map_or(1.0, |unit| unit.factor);
    let is_word = |c: char| c.is_alphanumeric();
    let word_before =
        text[..found.span.start].trim_end_matches(|c| !is_word(c)).rsplit(|c| !is_word(c)).next();
    let word_behind =
        text[found.span.end..].trim_start_matches(|c| !is_word(c)).split(|c| !is_word(c)).next();
    Quantity {
        text: text[found.span.clone()].to_string(),
        number: found.number,
        amount: amount(found.number),
        dimension: unit.map(|unit| unit.dimension).unwrap_or_default(),
        rounding: found.step / 2.0 * factor,
        imperial: unit.is_some_and(|unit| unit.imperial),
        neighbours: [word_before, word_behind].map(|word| word.unwrap_or_default().to_lowercase()),
    }
}

fn numbers(text: &str) -> Vec<Found> {
    static PATTERN: LazyLock<Regex> = LazyLock::new(|| {
        let tens: Vec<&str> = TENS.iter().map(|(word, _)| *word).collect();
        let words = format!("{}|{}", WORDS.join("|"), tens.join("|"));
        let power = r"(?:\s?[x×*]\s?10(?:\^|\*\*)?([-−]?\d+|[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+))?";
        Regex::new(&format!(r"(?:({NUMBER}){power})|(?i:\b({words})\b)")).expect("a fixed pattern")
    });
    let mut numbers = Vec::new();
    for captures in PATTERN.captures_iter(text) {
        let whole = captures.get(0).expect("the match itself");
        // The 24 of "4 g in 24 hours" is part of the amount before it.
        if numbers.last().is_some_and(|last: &Found| whole.start() < last.span.end) {
            continue;
        }
        let (before, behind) = (&text[..whole.start()], &text[whole.end()..]);
        let unit = unit_at(behind);
        let mut start = whole.start();
        let (mut number, step) = match (captures.get(1), captures.get(3)) {
            (Some(digits), _) => {
                if is_name(before, digits.as_str(), behind, unit.is_some()) || is_list_marker(before, behind)
                {
                    continue;
                }
                let (number, step) = read(digits.as_str());
                let scale = captures.get(2).map_or(1.0, |power| 10f64.powi(exponent(power.as_str())));
                (number * scale, step * scale)
            }
            (None, Some(word)) if unit.is_some() => (spelled(word.as_str()), 1.0),
            _ => continue,
        };
        let sign = before.chars().next_back().filter(|c| matches!(c, '-' | '−'));
        let unsigned = sign.map_or(before, |sign| &before[..before.len() - sign.len_utf8()]);
        if sign.is_some() && unsigned.chars().next_back().is_none_or(|c| c == '(' || c.is_whitespace()) {
            number = -number;
            start = unsigned.len();
        }
        let end = whole.end() + unit.map_or(0, |(_, length)| length);
        let whole =
            captures.get(1).is_some_and(|digits| digits.as_str().bytes().all(|byte| byte.is_ascii_digit()));
        let mut found = Found { span: start..end, number, step, unit: unit.map(|(unit, _)| unit), whole };
        per_day(text, &mut found);
        numbers.push(found);
    }
    numbers.extend(articles(text));
    numbers.sort_by_key(|found| found.span.start);
    numbers
}

/// "For a day", "within an hour": one of a unit of time. Elsewhere "a day" says how often.
fn articles(text: &str) -> Vec<Found> {
    static PATTERN: LazyLock<Regex> = LazyLock::new(|| {
        let before = r"for|within|after|before|about|around|nearly|almost|than|at\s+least|at\s+most|up\s+to|lasts?|lasting";
        Regex::new(&format!(
            r"(?i)\b(?:{before})\s+(an?\s+(?:whole\s+|full\s+)?(minute|hour|day|week|month|year)\b)(?:\s+and\s+a\s+half)?"
        ))
        .expect("a fixed pattern")
    });
    let found = PATTERN.captures_iter(text).filter_map(|captures| {
        let (whole, span) = (captures.get(0)?, captures.get(1)?.range());
        // "An hour and a half" is no hour.
        let (unit, _) = unit_at(captures.get(2).filter(|_| whole.end() == span.end)?.as_str())?;
        Some(Found { span, number: 1.0, step: 1.0, unit: Some(unit), whole: false })
    });
    found.collect()
}

/// "500 mg daily", "500 mg once a day", "500 mg in 24 hours" is 500 mg/day.
fn per_day(text: &str, found: &mut Found) {
    static DAILY: LazyLock<Regex> = LazyLock::new(|| {
        let day = r"(?:a|each|every|in\s(?:a|one|any)|over\s(?:a|one))\sday";
        let hours =
            r"(?:in|per|every|each|over|within)\s(?:a\s|any\s|each\s)?24[\s-]?(?:hours?|hrs?|h)(?:\speriod)?";
        Regex::new(&format!(r"^(?i)\s(?:once\s)?(?:daily|{day}|{hours})\b")).expect("a fixed pattern")
    });
    let daily = DAILY.find(&text[found.span.end..]);
    if let (Some(unit), Some(daily)) = (&mut found.unit, daily) {
        *unit = unit.per_day();
        found.span.end += daily.end();
    }
}

/// Part of a name (B12, COVID-19, CYP2D6), of an ordinal (3rd) or of a longer number (1.2.3), or one to call (911).
fn is_name(before: &str, number: &str, behind: &str, has_unit: bool) -> bool {
    let mut back = before.chars().rev();
    let (last, earlier) = (back.next(), back.next());
    let letter = |c: Option<char>| c.is_some_and(|c| c.is_alphabetic() || c == '_');
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let attached = letter(last) && !matches!(last, Some('x' | '×'));
    let hyphenated = matches!(last, Some('-' | '–')) && letter(earlier);
    let continued =
        matches!(last, Some('.' | ',')) && digit(earlier) || number.starts_with('.') && digit(last);
    let word = before.trim_end().rsplit(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
    let called = ["call", "dial", "phone", "ring"].iter().any(|verb| word.eq_ignore_ascii_case(verb));
    attached || hyphenated || continued || called || (!has_unit && letter(behind.chars().next()))
}

/// The number of a list: "2." or "2)" at the beginning of a line.
fn is_list_marker(before: &str, behind: &str) -> bool {
    let first = before.rsplit('\n').next().is_none_or(|line| line.trim().is_empty());
    first && (behind.starts_with(". ") || behind.starts_with(") "))
}

/// The value of digits and the place of the last one. A comma before exactly three digits separates thousands.
fn read(digits: &str) -> (f64, f64) {
    let fractions = [('½', 0.5), ('¼', 0.25), ('¾', 0.75), ('⅓', 1.0 / 3.0), ('⅔', 2.0 / 3.0), ('⅛', 0.125)];
    if let Some((_, value)) = fractions.into_iter().find(|(c, _)| digits.starts_with(*c)) {
        return (value, 0.0);
    }
    let decimal_comma = digits.matches(',').count() == 1
        && !digits.contains('.')
        && (digits.rsplit(',').next().is_none_or(|end| end.len() != 3) || digits.starts_with("0,"));
    let plain = if decimal_comma { digits.replace(',', ".") } else { digits.replace(',', "") };
    let decimals = plain.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    (plain.parse().unwrap_or(f64::NAN), 10f64.powi(-(decimals.min(300) as i32)))
}

fn spelled(word: &str) -> f64 {
    let word = word.to_lowercase();
    let small = WORDS.iter().position(|name| *name == word).map(|value| value as f64);
    small.or_else(|| TENS.iter().find(|(name, _)| *name == word).map(|(_, value)| *value)).unwrap_or(f64::NAN)
}

fn exponent(text: &str) -> i32 {
    let plain: String = text
        .chars()
        .map(|c| match "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().position(|digit| digit == c) {
            Some(digit) => char::from(b'0' + digit as u8),
            None if matches!(c, '⁻' | '−') => '-',
            None => c,
        })
        .collect();
    plain.parse::<i32>().unwrap_or(0).clamp(-300, 300)
}

/// "twice daily", "3 times a week", "every 4-6 hours", "every other day", "q8h", "b.i.d.".
fn frequencies(text: &str) -> Vec<(Range<usize>, Quantity)> {
    static PATTERN: LazyLock<Regex> = LazyLock::new(|| {
        let count = format!("{NUMBER}|{}", WORDS[..13].join("|"));
        let period = "day|dai|week|hour|hr|h|minute|min";
        let times = format!(
            r"(?:(once|twice|thrice)|({count})\s+times?)(?:\s+(?:a|per|each|every|in\s+a)\s+|\s+|-|/)({period})(?:ly|s)?"
        );
        let every =
            format!(r"(?:every|each)\s+(?:({count}|other)\s*)(?:(?:-|–|to)\s*({count})\s*)?({period})s?");
        let latin = r"([bqt])(?:id\b|\.i\.d\b\.?)";
        Regex::new(&format!(r"(?i)\b(?:(?:{times}|{every}|q(\d{{1,2}})h)\b|{latin})"))
            .expect("a fixed pattern")
    });
    let mut found = Vec::new();
    for captures in PATTERN.captures_iter(text) {
        let whole = captures.get(0).expect("the match itself");
        let part = |index: usize| captures.get(index).map(|part| part.as_str().to_lowercase());
        let hours = |period: Option<String>| match period.as_deref() {
            Some("week") => 168.0,
            Some("hour" | "hr" | "h") => 1.0,
            Some("minute" | "min") => 1.0 / 60.0,
            _ => 24.0,
        };
        let value =
            |text: String| if text.starts_with(char::is_alphabetic) { spelled(&text) } else { read(&text).0 };
        let mut rates = Vec::new();
        if let Some(word) = part(1) {
            let times = match word.as_str() {
                "once" => 1.0,
                "twice" => 2.0,
                _ => 3.0,
            };
            rates.push((times, times / hours(part(3))));
        } else if let Some(times) = part(2).map(value) {
            rates.push((times, times / hours(part(3))));
        } else if let Some(every) = part(4) {
            let periods = if every == "other" { 2.0 } else { value(every) };
            let hours = hours(part(6));
            let ends = [Some(periods), part(5).map(value)];
            rates.extend(ends.into_iter().flatten().map(|periods| (periods, 1.0 / (periods * hours))));
        } else if let Some(hours) = part(7).map(value) {
            rates.push((hours, 1.0 / hours));
        } else if let Some(latin) = part(8) {
            let times = match latin.as_bytes()[0] {
                b'b' => 2.0,
                b't' => 3.0,
                _ => 4.0,
            };
            rates.push((times, times / 24.0));
        }
        for (number, amount) in rates.into_iter().filter(|(_, amount)| amount.is_finite()) {
            let quantity = Quantity {
                text: whole.as_str().to_string(),
                number,
                amount,
                dimension: Dimension::frequency(),
                rounding: 0.0,
                imperial: false,
                neighbours: Default::default(),
            };
            found.push((whole.range(), quantity));
        }
    }
    found
}
