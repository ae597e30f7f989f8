//! Units of measurement and what they measure.

use serde::{Deserialize, Serialize};

/// What is measured. Months are apart from hours because they have no fixed length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    /// In milligrams.
    Mass,
    /// In millilitres.
    Volume,
    /// In hours.
    Time,
    /// In months.
    Months,
    /// In millimoles.
    Amount,
    /// In millimetres.
    Length,
    /// In mmHg.
    Pressure,
    /// In degrees Celsius.
    Temperature,
    /// In kilocalories.
    Energy,
    /// In international units.
    Activity,
    /// In milliequivalents.
    Equivalents,
    Percent,
    /// Tablets, capsules, pills.
    Pieces,
    Puffs,
    Drops,
}

const BASES: usize = Base::Drops as usize + 1;

/// Exponents of the things measured: mg/kg/day is mass⁰ (mg over kg) time⁻¹. All zero for a plain number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dimension {
    exponents: [i8; BASES],
    /// How many units were written, so that mg/kg is no plain number.
    written: u8,
}

impl Dimension {
    /// Whether it is a plain number.
    pub fn is_none(&self) -> bool {
        self.written == 0
    }

    /// A length of time that is known to the hour.
    pub(super) fn time() -> Self {
        simple(Base::Time, 1.0, 0.0, false).dimension
    }

    /// Months and years.
    pub(super) fn months() -> Self {
        simple(Base::Months, 1.0, 0.0, false).dimension
    }

    /// Once per time.
    pub(super) fn frequency() -> Self {
        let mut dimension = Self::default();
        dimension.exponents[Base::Time as usize] = -1;
        dimension.written = 1;
        dimension
    }
}

/// A unit with its size in the base unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Unit {
    pub(super) dimension: Dimension,
    pub(super) factor: f64,
    /// Added after the factor: only Fahrenheit has one.
    pub(super) offset: f64,
    /// Whether conversions from it are usually rounded.
    pub(super) imperial: bool,
}

impl Unit {
    /// This unit over another.
    fn over(mut self, divisor: &Self) -> Self {
        for (exponent, subtracted) in self.dimension.exponents.iter_mut().zip(divisor.dimension.exponents) {
            *exponent = exponent.saturating_sub(subtracted);
        }
        self.dimension.written = self.dimension.written.saturating_add(1);
        self.factor /= divisor.factor;
        self.imperial |= divisor.imperial;
        self
    }

    /// This unit per day.
    pub(super) fn per_day(self) -> Self {
        self.over(&simple(Base::Time, 24.0, 0.0, false))
    }
}

const UNITS: &[(&str, Base, f64)] = &[
    ("kg kgs kilogram kilograms kilo kilos", Base::Mass, 1e6),
    ("g gm gms gram grams gramme grammes", Base::Mass, 1e3),
    ("mg mgs milligram milligrams", Base::Mass, 1.0),
    ("mcg µg μg ug microgram micrograms", Base::Mass, 1e-3),
    ("ng nanogram nanograms", Base::Mass, 1e-6),
    ("pg picogram picograms", Base::Mass, 1e-9),
    ("lb lbs pound pounds", Base::Mass, 453_592.37),
    ("oz ounce ounces", Base::Mass, 28_349.523_125),
    ("l litre litres liter liters", Base::Volume, 1e3),
    ("dl decilitre decilitres deciliter deciliters", Base::Volume, 1e2),
    ("ml mls cc millilitre millilitres milliliter milliliters", Base::Volume, 1.0),
    ("µl μl ul microlitre microlitres microliter microliters", Base::Volume, 1e-3),
    ("fl femtolitre femtoliter", Base::Volume, 1e-12),
    ("week weeks wk wks", Base::Time, 168.0),
    ("day days d", Base::Time, 24.0),
    ("hour hours hr hrs h", Base::Time, 1.0),
    ("minute minutes min mins", Base::Time, 1.0 / 60.0),
    ("second seconds sec secs s", Base::Time, 1.0 / 3600.0),
    ("ms msec millisecond milliseconds", Base::Time, 1.0 / 3.6e6),
    ("year years yr yrs", Base::Months, 12.0),
    ("month months", Base::Months, 1.0),
    ("mol mole moles", Base::Amount, 1e3),
    ("mmol millimole millimoles", Base::Amount, 1.0),
    ("µmol μmol umol micromole micromoles", Base::Amount, 1e-3),
    ("nmol nanomole nanomoles", Base::Amount, 1e-6),
    ("pmol picomole picomoles", Base::Amount, 1e-9),
    ("m metre metres meter meters", Base::Length, 1e3),
    ("cm centimetre centimetres centimeter centimeters", Base::Length, 10.0),
    ("mm millimetre millimetres millimeter millimeters", Base::Length, 1.0),
    ("µm μm um micrometre micrometer micron microns", Base::Length, 1e-3),
    ("inch inches", Base::Length, 25.4),
    ("ft foot feet", Base::Length, 304.8),
    ("mmhg", Base::Pressure, 1.0),
    ("kpa", Base::Pressure, 7.500_615_050_434_136),
    ("kcal kilocalorie kilocalories calories", Base::Energy, 1.0),
    ("kj kilojoule kilojoules", Base::Energy, 1.0 / 4.184),
    ("iu unit units u", Base::Activity, 1.0),
    ("mu miu", Base::Activity, 1e-3),
    ("meq", Base::Equivalents, 1.0),
    ("% percent", Base::Percent, 1.0),
    ("tablet tablets tab tabs capsule capsules pill pills", Base::Pieces, 1.0),
    ("puff puffs inhalation inhalations", Base::Puffs, 1.0),
    ("drop drops", Base::Drops, 1.0),
];

const IMPERIAL: &[&str] =
    &["lb", "lbs", "pound", "pounds", "oz", "ounce", "ounces", "inch", "inches", "ft", "foot", "feet"];

/// The unit at the beginning of a text, after at most one space or hyphen, with its denominators ("mg/kg per day"),
/// and the number of bytes that it takes.
pub(super) fn unit_at(text: &str) -> Option<(Unit, usize)> {
    let gap = text
        .chars()
        .next()
        .filter(|c| matches!(c, ' ' | '-' | '\u{a0}' | '\u{202f}'))
        .map_or(0, char::len_utf8);
    let (mut unit, length) = simple_unit(&text[gap..])?;
    let mut end = gap + length;
    loop {
        let rest = &text[end..];
        let over = [" per ", "/", " / "].into_iter().find(|over| rest.starts_with(over));
        let Some((divisor, length)) = over.and_then(|over| {
            let (divisor, length) = simple_unit(&rest[over.len()..])?;
            Some((divisor, over.len() + length))
        }) else {
            return Some((unit, end));
        };
        unit = unit.over(&divisor);
        end += length;
    }
}

fn simple_unit(text: &str) -> Option<(Unit, usize)> {
    if let Some((unit, length)) = temperature(text) {
        return Some((unit, length));
    }
    let end =
        if text.starts_with('%') { 1 } else { text.find(|c: char| !c.is_alphabetic()).unwrap_or(text.len()) };
    let word = &text[..end];
    // One capital letter is rather a name (vitamin C, grade A) than a unit, except litres and units.
    if word.len() == 1 && word.chars().all(char::is_uppercase) && !matches!(word, "L" | "U") {
        return None;
    }
    let lower = word.to_lowercase();
    let (_, base, factor) = UNITS.iter().find(|(names, ..)| names.split(' ').any(|name| name == lower))?;
    Some((simple(*base, *factor, 0.0, IMPERIAL.contains(&lower.as_str())), end))
}

/// `°C`, `° F`, `degrees Celsius`, and the bare capital letters.
fn temperature(text: &str) -> Option<(Unit, usize)> {
    let mut rest = text;
    for prefix in ["°", "º", "degrees", "degree"] {
        rest = rest.strip_prefix(prefix).unwrap_or(rest);
    }
    rest = if rest.len() < text.len() { rest.trim_start_matches(' ') } else { rest };
    let end = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    let unit = match &rest[..end] {
        "C" | "Celsius" | "celsius" | "centigrade" => simple(Base::Temperature, 1.0, 0.0, false),
        "F" | "Fahrenheit" | "fahrenheit" => simple(Base::Temperature, 5.0 / 9.0, -160.0 / 9.0, true),
        _ => return None,
    };
    Some((unit, text.len() - rest.len() + end))
}

fn simple(base: Base, factor: f64, offset: f64, imperial: bool) -> Unit {
    let mut dimension = Dimension { written: 1, ..Dimension::default() };
    dimension.exponents[base as usize] = 1;
    Unit { dimension, factor, offset, imperial }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_belongs_to_one_unit() {
        let mut names: Vec<&str> = UNITS.iter().flat_map(|(names, ..)| names.split(' ')).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(IMPERIAL.iter().all(|name| names.contains(name)));
    }

    #[test]
    fn units_are_read_with_their_denominators() {
        let factor = |text: &str| unit_at(text).map(|(unit, length)| (unit.factor, length));
        assert_eq!(factor("mg"), Some((1.0, 2)));
        assert_eq!(factor(" g daily"), Some((1e3, 2)));
        assert_eq!(factor("-year-old"), Some((12.0, 5)));
        assert_eq!(factor(" mg/kg per day, then"), Some((1.0 / 1e6 / 24.0, 14)));
        assert_eq!(factor(" mmol/L"), Some((1.0 / 1e3, 7)));
        assert_eq!(factor(" guinea pigs"), None);
        assert_eq!(factor(" °C."), Some((1.0, 4)));
        assert_eq!(factor(" C"), Some((1.0, 2)));
        assert_eq!(factor(" M"), None);
        assert_eq!(factor(""), None);
    }
}
