//! Where a thread's file is: `sessions/YYYY/MM/DD/rollout-<local time>-<thread>.jsonl`.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use dovetail_core::ids::ThreadId;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The directory of all threads.
pub(crate) fn sessions(home: &Path) -> PathBuf {
    home.join("sessions")
}

/// The file of a thread that begins now or began then, in the machine's time zone.
pub(crate) fn rollout(home: &Path, id: ThreadId, created: SystemTime) -> PathBuf {
    let local = timestamp(created).to_zoned(local_zone());
    let (date, time) = (local.date(), local.time());
    let (year, month, day) = (date.year(), date.month(), date.day());
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    sessions(home).join(format!(
        "{year:04}/{month:02}/{day:02}/rollout-{year:04}-{month:02}-{day:02}T{hour:02}-{minute:02}-{second:02}-{id}.jsonl"
    ))
}

/// The machine's time zone, with its name where that is known.
///
/// Read straight from its file where nothing says otherwise: looking the zone up in the database walks a directory of
/// hundreds of files, which takes a millisecond of every start.
pub fn local_zone() -> TimeZone {
    const ZONE: &str = "/etc/localtime";
    if std::env::var_os("TZ").is_none()
        && let Ok(rules) = std::fs::read(ZONE)
        && let Ok(link) = std::fs::canonicalize(ZONE)
        && let Some((_, name)) = link.to_str().and_then(|path| path.split_once("/zoneinfo/"))
        && let Ok(zone) = TimeZone::tzif(name, &rules)
    {
        return zone;
    }
    TimeZone::system()
}

/// The thread that a file's name says it holds, and whether the file is compressed.
pub(crate) fn thread_of(name: &str) -> Option<(ThreadId, Compression)> {
    let (stem, compression) = match name.strip_suffix(".zst") {
        Some(inner) => (inner, Compression::Zstd),
        None => (name, Compression::None),
    };
    let stem = stem.strip_prefix("rollout-")?.strip_suffix(".jsonl")?;
    let id = stem.get(stem.len().checked_sub(36)?..)?;
    Some((ThreadId::parse(id).ok()?, compression))
}

/// Whether a file must be unpacked before it can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Zstd,
}

/// A time as jiff has it. Times outside its 20,000 years become 1970: they can only come from a broken clock.
pub(crate) fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_way_to_the_time_zone_gives_the_same_times() {
        for seconds in [0, 1_700_000_000, 1_795_218_221] {
            let time = Timestamp::from_second(seconds).expect("a time");
            let (short, long) = (
                time.to_zoned(local_zone()),
                time.to_zoned(TimeZone::system()),
            );
            assert_eq!(short.datetime(), long.datetime());
            assert_eq!(short.time_zone().iana_name(), long.time_zone().iana_name());
        }
    }

    #[test]
    fn a_name_tells_its_thread() {
        let id = "01a1fb58-2811-7ea0-9e27-e6be064a83e5";
        let parsed = ThreadId::parse(id).expect("an id");
        let name = format!("rollout-2026-11-20T23-43-41-{id}.jsonl");
        assert_eq!(thread_of(&name), Some((parsed, Compression::None)));
        assert_eq!(
            thread_of(&format!("{name}.zst")),
            Some((parsed, Compression::Zstd))
        );
        for other in [
            "rollout-x.jsonl",
            "é.jsonl",
            "notes.txt",
            "rollout-.jsonl",
            "",
        ] {
            assert_eq!(thread_of(other), None, "{other}");
        }
    }
}
