//! How long to wait before asking again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::RngExt;

/// The first wait; each further one is twice as long.
const FIRST: Duration = Duration::from_millis(1000);
/// No wait of our own choice is longer.
const LONGEST: Duration = Duration::from_secs(60);

/// A wait before repetition `repetition` (from 0), drawn from half to the whole of an interval that doubles, so that
/// callers who failed together do not come back together. `unit` is the first interval in a run.
pub(crate) fn wait(repetition: u32, unit: Option<Duration>) -> Duration {
    let interval = unit.unwrap_or(FIRST).saturating_mul(2u32.saturating_pow(repetition)).min(LONGEST);
    interval.mul_f64(rand::rng().random_range(0.5..=1.0))
}

/// What `Retry-After` says: seconds, or a date (RFC 9110, 10.2.3).
pub(crate) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return (0.0..1e9).contains(&seconds).then(|| Duration::from_secs_f64(seconds));
    }
    let at = UNIX_EPOCH + Duration::from_secs(http_date(value)?);
    Some(at.duration_since(now).unwrap_or_default())
}

/// Seconds since 1970 of a date such as `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let parts: Vec<&str> = text.split_ascii_whitespace().collect();
    let [_, day, month, year, time, "GMT"] = parts[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let (day, year): (u64, u64) = (day.parse().ok()?, year.parse().ok()?);
    let clock: Vec<u64> = time.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [hours, minutes, seconds] = clock[..] else { return None };
    if !(1970..10_000).contains(&year)
        || !(1..=31).contains(&day)
        || hours > 23
        || minutes > 59
        || seconds > 60
    {
        return None;
    }
    // Days from the civil date, years beginning in March (Hinnant, "chrono-compatible low-level date algorithms").
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + hours * 3600 + minutes * 60 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_differ_from_caller_to_caller() {
        for repetition in 0..4 {
            let interval = Duration::from_secs(1 << repetition);
            let waits: Vec<_> = (0..50).map(|_| wait(repetition, None)).collect();
            assert!(waits.iter().all(|wait| (interval / 2..=interval).contains(wait)));
            assert!(waits.iter().any(|wait| wait != &waits[0]));
        }
        assert!(wait(40, None) <= LONGEST);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777 - 30);
        assert_eq!(retry_after("7", now), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("0.5", now), Some(Duration::from_millis(500)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(30)));
        assert_eq!(retry_after("Sat, 05 Nov 1994 08:49:37 GMT", now), Some(Duration::ZERO));
        for wrong in
            ["", "soon", "-1", "NaN", "inf", "Sun, 06 Now 1994 08:49:37 GMT", "Sun, 06 Nov 1994 8h GMT"]
        {
            assert_eq!(retry_after(wrong, now), None, "{wrong}");
        }
        assert_eq!(http_date("Thu, 29 Feb 2024 00:00:00 GMT"), Some(1_709_164_800));
    }
}
