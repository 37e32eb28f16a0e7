//! Times and durations as a person says them.

use jiff::{Timestamp, tz::TimeZone};

/// Seconds from `then` to `now`; 0 if the clock went back.
pub fn seconds_between(then: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(now.as_second().saturating_sub(then.as_second())).unwrap_or(0)
}

/// Whether `now` is less than `millis` after `then`. A clock that went back counts as long after.
pub fn within(then: Timestamp, now: Timestamp, millis: i64) -> bool {
    let passed = now.as_millisecond().saturating_sub(then.as_millisecond());
    (0..millis).contains(&passed)
}

/// The running time of a call: `00:14:03`.
pub fn clock(seconds: u64) -> String {
    format!(
        "{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// A duration in little room: `14:03`, `1:02:03`.
pub fn short(seconds: u64) -> String {
    match seconds / 3600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

/// How long ago: `just now`, `5 min ago`, `3 h ago`, `yesterday`, `9 days ago`.
pub fn age(then: Timestamp, now: Timestamp) -> String {
    match seconds_between(then, now) {
        0..60 => "just now".to_owned(),
        seconds @ 60..3600 => format!("{} min ago", seconds / 60),
        seconds @ 3600..86_400 => format!("{} h ago", seconds / 3600),
        seconds @ 86_400..172_800 => format!("{} day ago", seconds / 86_400),
        seconds => format!("{} days ago", seconds / 86_400),
    }
}

/// A moment of the past: `today 11:02`, `yesterday 09:40`, `Sat 20:15`, `3 Nov`, `3 Nov 2025`.
pub fn moment(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let at = at.to_zoned(zone.clone());
    let now = now.to_zoned(zone.clone());
    let days = (now.date() - at.date()).get_days();
    let format = match days {
        0 => "today %H:%M",
        1 => "yesterday %H:%M",
        2..7 => "%a %H:%M",
        _ if at.year() == now.year() => "%-d %b",
        _ => "%-d %b %Y",
    };
    at.strftime(format).to_string()
}

/// A date: `3 Nov`, or `3 Nov 2025` in another year.
pub fn date(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let at = at.to_zoned(zone.clone());
    let same = at.year() == now.to_zoned(zone.clone()).year();
    at.strftime(if same { "%-d %b" } else { "%-d %b %Y" })
        .to_string()
}

/// The time of the day: `12:04:31`.
pub fn of_day(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a timestamp")
    }

    #[test]
    fn durations() {
        assert_eq!(clock(843), "00:14:03");
        assert_eq!(short(7), "0:07");
        assert_eq!(short(3723), "1:02:03");
    }

    #[test]
    fn moments() {
        let now = at("2026-11-03T12:00:00Z");
        let said = |text: &str| moment(at(text), now, &TimeZone::UTC);
        assert_eq!(said("2026-11-03T11:02:00Z"), "today 11:02");
        assert_eq!(said("2026-11-02T23:59:00Z"), "yesterday 23:59");
        assert_eq!(said("2026-10-31T20:15:00Z"), "Sat 20:15");
        assert_eq!(said("2026-10-01T20:15:00Z"), "1 Oct");
        assert_eq!(said("2025-11-03T12:00:00Z"), "3 Nov 2025");
        assert_eq!(
            said("2026-11-04T00:00:00Z"),
            "4 Nov",
            "a clock that went back"
        );
    }

    #[test]
    fn ages_and_windows_survive_a_clock_that_goes_back() {
        let now = at("2026-11-03T12:00:00Z");
        assert_eq!(age(at("2026-11-03T12:00:30Z"), now), "just now");
        assert_eq!(age(at("2026-11-01T11:00:00Z"), now), "2 days ago");
        assert!(within(at("2026-11-03T11:59:59.5Z"), now, 700));
        assert!(!within(at("2026-11-03T11:59:59.3Z"), now, 700));
        assert!(!within(at("2026-11-03T12:00:01Z"), now, 700));
    }
}
