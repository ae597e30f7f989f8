//! Names, numbers and dates of nobody.

use super::Random;

const FIRST: [&str; 24] = [
    "Ada",
    "Bruno",
    "Carmen",
    "Dmitri",
    "Eleanor",
    "Farid",
    "Greta",
    "Hiroshi",
    "Imogen",
    "Jamal",
    "Katarzyna",
    "Liam",
    "Mei",
    "Noah",
    "Olumide",
    "Priya",
    "Quentin",
    "Rosa",
    "Sven",
    "Tala",
    "Ulrike",
    "Vikram",
    "Wendy",
    "Zoë",
];
const LAST: [&str; 24] = [
    "Abernathy",
    "Bjornson",
    "Castellanos",
    "Dvořák",
    "Eberhardt",
    "Fitzgerald",
    "Gupta",
    "Hernandez",
    "Ivanov",
    "Jönsson",
    "Kessler",
    "Lindqvist",
    "McAllister",
    "Nakamura",
    "O'Donnell",
    "Pereira",
    "Quigley",
    "Rosenthal",
    "Saint-Clair",
    "Takahashi",
    "Uddin",
    "Van Dyke",
    "Whitfield",
    "Zielinski",
];
const CITIES: [&str; 10] = [
    "Springfield",
    "Cedar Falls",
    "New Haven",
    "Brookline",
    "San Mateo",
    "Boise",
    "Fort Wayne",
    "Duluth",
    "St. Cloud",
    "Tulsa",
];
const STATES: [&str; 10] = ["IL", "IA", "CT", "MA", "CA", "ID", "IN", "MN", "Ohio", "Oklahoma"];
const STREETS: [&str; 10] = [
    "Maple Avenue",
    "W. 43rd Street",
    "Old Mill Rd",
    "Lakeview Dr.",
    "Martin Luther King Blvd",
    "Elm St",
    "Cherry Lane",
    "Park Place",
    "County Line Highway",
    "Saint Andrews Court",
];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

fn digits(random: &mut Random, count: usize) -> String {
    (0..count).map(|_| char::from(b'0' + random.within(0, 9) as u8)).collect()
}

fn letters(random: &mut Random, count: usize) -> String {
    (0..count).map(|_| char::from(b'A' + random.within(0, 25) as u8)).collect()
}

/// A value of this kind. Lower-case kinds are those of the regulation's classes, in the notations that people use.
fn value(kind: &str, random: &mut Random) -> String {
    let (first, last) = (*random.pick(&FIRST), *random.pick(&LAST));
    let (year, month, day) = (random.within(1931, 2023), random.within(1, 12), random.within(1, 28));
    let name_of_month = MONTHS[month as usize - 1];
    let area = random.within(201, 989).to_string().replace(['8'], "7");
    let (exchange, line) = (random.within(200, 999), digits(random, 4));
    match kind {
        "full" => format!("{first} {last}"),
        "middle" => format!("{first} {}. {last}", letters(random, 1)),
        "reversed" => format!("{last}, {first}"),
        "capitals" => format!("{}, {}", last.to_uppercase(), first.to_uppercase()),
        "last" => last.to_owned(),
        "first" => first.to_owned(),
        "us_date" => format!("{month:02}/{day:02}/{year}"),
        "us_date_short" => format!("{month}/{day}/{:02}", year % 100),
        "iso_date" => format!("{year}-{month:02}-{day:02}"),
        "dotted_date" => format!("{day:02}.{month:02}.{year}"),
        "long_date" => format!("{name_of_month} {day}, {year}"),
        "day_first_date" => format!("{day} {name_of_month} {year}"),
        "ordinal_date" => format!("{name_of_month} {day}th"),
        "abbreviated_date" => format!("{day}-{}-{:02}", &name_of_month[..3], year % 100),
        "month_year" => format!("{name_of_month} {year}"),
        "phone" => format!("({area}) {exchange}-{line}"),
        "phone_dashes" => format!("{area}-{exchange}-{line}"),
        "phone_dots" => format!("{area}.{exchange}.{line}"),
        "phone_world" => format!("+44 20 7{} {}", digits(random, 3), digits(random, 4)),
        "phone_spaces" => format!("{area} {exchange} {line}"),
        "email" => format!(
            "{}.{}@mail{}.example.com",
            first.to_lowercase(),
            random.within(1, 99),
            random.within(1, 9)
        ),
        "ssn" => {
            format!("{}-{}-{}", random.within(101, 665), random.within(10, 99), random.within(1000, 9999))
        }
        "ssn_plain" => {
            format!("{}{}{}", random.within(101, 665), random.within(10, 99), random.within(1000, 9999))
        }
        "digits7" => random.within(1_000_000, 9_999_999).to_string(),
        "digits9" => random.within(100_000_000, 999_999_999).to_string(),
        "dashed" => format!("{}-{}-{}", digits(random, 2), digits(random, 3), digits(random, 3)),
        "code" => format!("{}{}", letters(random, 3), digits(random, 6)),
        "code_dashed" => format!("{}-{}", letters(random, 2), digits(random, 5)),
        "plate" => format!("{} {}", letters(random, 3), digits(random, 4)),
        "vin" => "1M8GDM9AXKP042788".into(),
        "card" => "4111 1111 1111 1111".into(),
        "age" => random.within(90, 104).to_string(),
        "city_state" => format!("{}, {}", random.pick(&CITIES), random.pick(&STATES)),
        "city_zip" => {
            format!("{}, {} {}", random.pick(&CITIES), random.pick(&STATES), random.within(10_000, 99_999))
        }
        "zip" => random.within(10_000, 99_999).to_string(),
        "street" => format!("{} {}", random.within(1, 9999), random.pick(&STREETS)),
        "url" => {
            format!("https://{}.example.net/{}", first.to_lowercase().replace('ë', "e"), digits(random, 3))
        }
        "ip" => format!(
            "{}.{}.{}.{}",
            random.within(11, 220),
            random.within(0, 255),
            random.within(0, 255),
            random.within(1, 254)
        ),
        "mac" => format!("00:1B:44:{}:3A:B7", random.within(10, 99)),
        "box" => format!("P.O. Box {}", random.within(10, 9999)),
        // Values of medicine, in sentences with nothing to find.
        "dose" => format!("{} mg", random.within(1, 90) * 5),
        "pressure" => format!("{}/{}", random.within(95, 180), random.within(50, 110)),
        "small" => random.within(1, 12).to_string(),
        "adult" => random.within(18, 89).to_string(),
        "lab" => format!("{}.{}", random.within(1, 15), random.within(0, 9)),
        "count" => random.within(4000, 480_000).to_string(),
        "year" => year.to_string(),
        _ => panic!("no value of the kind {kind}"),
    }
}

/// Replaces `{class:kind}` by a marked value and `{kind}` by a plain one.
pub(crate) fn fill(sentence: &str, random: &mut Random) -> String {
    let mut filled = String::new();
    for (at, piece) in sentence.split('{').enumerate() {
        if at == 0 {
            filled.push_str(piece);
            continue;
        }
        let (slot, rest) = piece.split_once('}').unwrap();
        match slot.split_once(':') {
            Some((class, kind)) => filled.push_str(&format!("⟦{class}|{}⟧", value(kind, random))),
            None => filled.push_str(&value(slot, random)),
        }
        filled.push_str(rest);
    }
    filled
}
