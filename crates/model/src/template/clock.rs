//! Dates as `strftime` writes them in the C locale, in UTC.

/// Writes a moment, given in seconds since 1970.
pub(super) fn format(format: &str, seconds: u64) -> String {
    let moment = Moment::new(seconds);
    let mut result = String::new();
    let mut rest = format.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            result.push(c);
            continue;
        }
        let mut letter = rest.next();
        let plain = letter == Some('-');
        if plain {
            letter = rest.next();
        }
        match letter.and_then(|letter| moment.field(letter)) {
            Some(text) if plain => {
                let short = text.trim_start_matches(['0', ' ']);
                result.push_str(if short.is_empty() { "0" } else { short });
            }
            Some(text) => result.push_str(&text),
            None => {
                result.push_str(if plain { "%-" } else { "%" });
                result.extend(letter);
            }
        }
    }
    result
}

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
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

struct Moment {
    year: u64,
    month: usize,
    day: u64,
    day_of_year: u64,
    weekday: usize,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Moment {
    fn new(seconds: u64) -> Self {
        let (days, of_day) = (seconds / 86_400, seconds % 86_400);
        let mut year = 1970;
        let mut rest = days;
        // Whole cycles of 400 years first, so that any moment takes few steps.
        year += 400 * (rest / 146_097);
        rest %= 146_097;
        let year_length = |year: u64| if is_leap(year) { 366 } else { 365 };
        while rest >= year_length(year) {
            rest -= year_length(year);
            year += 1;
        }
        let day_of_year = rest + 1;
        let mut month = 0;
        while month < 11 && rest >= month_length(year, month) {
            rest -= month_length(year, month);
            month += 1;
        }
        Moment {
            year,
            month,
            day: rest + 1,
            day_of_year,
            // 1 January 1970 was a Thursday.
            weekday: ((days + 4) % 7) as usize,
            hour: of_day / 3600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
        }
    }

    fn field(&self, letter: char) -> Option<String> {
        let month = MONTHS[self.month];
        let weekday = WEEKDAYS[self.weekday];
        Some(match letter {
            'Y' => self.year.to_string(),
            'y' => format!("{:02}", self.year % 100),
            'm' => format!("{:02}", self.month + 1),
            'B' => month.to_owned(),
            'b' | 'h' => month[..3].to_owned(),
            'd' => format!("{:02}", self.day),
            'e' => format!("{:2}", self.day),
            'j' => format!("{:03}", self.day_of_year),
            'A' => weekday.to_owned(),
            'a' => weekday[..3].to_owned(),
            'H' => format!("{:02}", self.hour),
            'I' => format!("{:02}", (self.hour + 11) % 12 + 1),
            'p' => if self.hour < 12 { "AM" } else { "PM" }.to_owned(),
            'M' => format!("{:02}", self.minute),
            'S' => format!("{:02}", self.second),
            'F' => format!("{}-{:02}-{:02}", self.year, self.month + 1, self.day),
            'T' => format!("{:02}:{:02}:{:02}", self.hour, self.minute, self.second),
            'Z' => "UTC".to_owned(),
            '%' => "%".to_owned(),
            _ => return None,
        })
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn month_length(year: u64, month: usize) -> u64 {
    match month {
        1 if is_leap(year) => 29,
        1 => 28,
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::format;

    #[test]
    fn moments_as_python_writes_them() {
        // datetime.fromtimestamp(s, timezone.utc).strftime(...)
        assert_eq!(format("%d %b %Y", 0), "01 Jan 1970");
        assert_eq!(format("%A %d %B %Y, %H:%M:%S", 951_826_554), "Tuesday 29 February 2000, 12:15:54");
        assert_eq!(format("%-d %-m %y %j %I %p", 1_709_164_800), "29 2 24 060 12 AM");
        assert_eq!(format("%F %T", 4_102_444_799), "2099-12-31 23:59:59");
        assert_eq!(format("100%% %Q", 0), "100% %Q");
    }
}
