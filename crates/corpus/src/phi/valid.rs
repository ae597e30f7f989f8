//! Numbers that carry their own check, and dates that exist.

/// Luhn's check of a number with 13 to 19 digits, as cards have it (ISO/IEC 7812-1).
pub(super) fn is_card(text: &str) -> bool {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| if at % 2 == 1 { 2 * digit - if *digit > 4 { 9 } else { 0 } } else { *digit })
        .sum();
    (13..=19).contains(&digits.len())
        && sum.is_multiple_of(10)
        && digits.iter().any(|digit| *digit != digits[0])
}

/// The check of a bank account number (ISO 13616): rearranged, letters as two digits, modulo 97.
pub(super) fn is_iban(text: &str) -> bool {
    let compact: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    if !(15..=34).contains(&compact.len()) {
        return false;
    }
    let rearranged = compact[4..].iter().chain(&compact[..4]);
    let rest = rearranged
        .filter_map(|c| c.to_digit(36))
        .fold(0, |rest, digit| if digit < 10 { (10 * rest + digit) % 97 } else { (100 * rest + digit) % 97 });
    rest == 1
}

/// The check digit of a vehicle's number (49 CFR 565.15).
pub(super) fn is_vin(text: &str) -> bool {
    const WEIGHTS: [u32; 17] = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];
    let value = |c: char| match c {
        '0'..='9' => c.to_digit(10),
        'A'..='H' => Some(c as u32 - 'A' as u32 + 1),
        'J'..='N' => Some(c as u32 - 'J' as u32 + 1),
        'P' => Some(7),
        'R' => Some(9),
        'S'..='Z' => Some(c as u32 - 'S' as u32 + 2),
        _ => None,
    };
    let values: Option<Vec<u32>> = text.chars().map(value).collect();
    let Some(values) = values.filter(|values| values.len() == 17) else { return false };
    let sum: u32 = values.iter().zip(WEIGHTS).map(|(value, weight)| value * weight).sum();
    let check = text.as_bytes()[8];
    check == if sum % 11 == 10 { b'X' } else { b'0' + (sum % 11) as u8 }
}

/// The check digit of a number of the Drug Enforcement Administration: `AB1234563`.
pub(super) fn is_dea(text: &str) -> bool {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    let [a, b, c, d, e, f, check] = digits[..] else { return false };
    (a + c + e + 2 * (b + d + f)) % 10 == check
}

/// Whether three numbers are a day, a month and a year in one of the usual orders.
pub(super) fn is_date(text: &str) -> bool {
    let parts: Vec<&str> =
        text.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).collect();
    let number = |part: &str| part.parse::<u32>().unwrap_or(0);
    let day_and_month = |a: &str, b: &str| {
        let (a, b) = (number(a), number(b));
        (1..=12).contains(&a) && (1..=31).contains(&b) || (1..=31).contains(&a) && (1..=12).contains(&b)
    };
    match parts[..] {
        [year, a, b] if year.len() == 4 => (1850..=2150).contains(&number(year)) && day_and_month(a, b),
        [a, b, year] if year.len() == 4 => (1850..=2150).contains(&number(year)) && day_and_month(a, b),
        [a, b, _] | [a, b] => day_and_month(a, b),
        _ => false,
    }
}

/// The year of four digits in a date.
pub(super) fn year(text: &str) -> Option<&str> {
    let is_year = |part: &&str| part.len() == 4 && (part.starts_with("19") || part.starts_with("20"));
    text.split(|c: char| !c.is_ascii_digit()).find(is_year)
}

/// Whether four numbers up to 255 are an address of the internet.
pub(super) fn is_ipv4(text: &str) -> bool {
    text.parse::<std::net::Ipv4Addr>().is_ok()
}

/// Whether groups of hexadecimal digits are an address of the internet.
pub(super) fn is_ipv6(text: &str) -> bool {
    text.parse::<std::net::Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_a_check_are_told_from_others() {
        assert!(
            is_card("4111 1111 1111 1111") && !is_card("4111 1111 1111 1112") && !is_card("0000000000000000")
        );
        assert!(is_iban("DE89 3704 0044 0532 0130 00") && !is_iban("DE89 3704 0044 0532 0130 01"));
        assert!(is_vin("1M8GDM9AXKP042788") && !is_vin("1M8GDM9A1KP042788"));
        assert!(is_dea("AB1234563") && !is_dea("AB1234567"));
        assert!(is_ipv4("10.0.0.1") && !is_ipv4("10.0.0.256") && is_ipv6("fe80::1") && !is_ipv6("12:30:45"));
    }

    #[test]
    fn dates_exist_and_keep_their_year() {
        assert!(is_date("03/14/2019") && is_date("14.3.19") && is_date("2019-3-14"));
        assert!(!is_date("13/32/2019") && !is_date("45-10-2019") && !is_date("0/5/19"));
        assert_eq!((year("on 3/14/2019"), year("3/14/19")), (Some("2019"), None));
    }
}
