//! Where a thread's files are: `sessions/YYYY/MM/DD/rollout-<local time>-<thread>.jsonl`, flat once it is archived.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use dovetail_core::ids::ThreadId;
use jiff::Timestamp;
use jiff::tz::TimeZone;

const SESSIONS: &str = "sessions";
const ARCHIVED: &str = "archived_sessions";

/// The directory of all threads.
pub(crate) fn sessions(home: &Path) -> PathBuf {
    home.join(SESSIONS)
}

/// The directory of threads that were put away.
pub(crate) fn archived(home: &Path) -> PathBuf {
    home.join(ARCHIVED)
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

/// What a file's name says of it: `rollout-<time>-<thread>[_<rollout>].jsonl[.zst]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileName {
    /// The thread.
    pub(crate) thread: ThreadId,
    /// The file's own id: the thread's for its first file, another one for what a revert made.
    pub(crate) rollout: ThreadId,
    /// Whether it must be unpacked.
    pub(crate) compression: Compression,
}

impl FileName {
    /// Understands a name; none for files of other kinds.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (stem, compression) = match name.strip_suffix(".zst") {
            Some(inner) => (inner, Compression::Zstd),
            None => (name, Compression::None),
        };
        let stem = stem.strip_prefix("rollout-")?.strip_suffix(".jsonl")?;
        let (rest, rollout) = last_id(stem)?;
        let thread = rest
            .strip_suffix('_')
            .and_then(last_id)
            .map_or(rollout, |(_, thread)| thread);
        Some(Self {
            thread,
            rollout,
            compression,
        })
    }
}

fn last_id(text: &str) -> Option<(&str, ThreadId)> {
    let (rest, id) = text.split_at_checked(text.len().checked_sub(36)?)?;
    Some((rest, ThreadId::parse(id).ok()?))
}

/// Whether a file must be unpacked before it can be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Zstd,
}

/// The home that a thread's file belongs to; for a file elsewhere, the directory it is in.
pub(crate) fn home_of(path: &Path) -> &Path {
    let directory = path.parent().unwrap_or(path);
    directory
        .ancestors()
        .find(|above| {
            above
                .file_name()
                .is_some_and(|name| name == SESSIONS || name == ARCHIVED)
        })
        .and_then(Path::parent)
        .unwrap_or(directory)
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
        let [id, segment] = [
            "01a1fb58-2811-7ea0-9e27-e6be064a83e5",
            "01a1fc9c-2dc3-7bf1-8588-4c4553abce68",
        ];
        let parsed = |text| ThreadId::parse(text).expect("an id");
        let name = format!("rollout-2026-11-20T23-43-41-{id}.jsonl");
        let expected = FileName {
            thread: parsed(id),
            rollout: parsed(id),
            compression: Compression::None,
        };
        assert_eq!(FileName::parse(&name), Some(expected));
        let packed = FileName {
            compression: Compression::Zstd,
            ..expected
        };
        assert_eq!(FileName::parse(&format!("{name}.zst")), Some(packed));
        let reverted = FileName {
            rollout: parsed(segment),
            ..expected
        };
        let name = format!("rollout-2026-11-20T23-43-41-{id}_{segment}.jsonl");
        assert_eq!(FileName::parse(&name), Some(reverted));
        for other in [
            "rollout-x.jsonl",
            "é.jsonl",
            "notes.txt",
            "rollout-.jsonl",
            "",
        ] {
            assert_eq!(FileName::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_file_tells_its_home() {
        let check = |path: &str, home: &str| assert_eq!(home_of(Path::new(path)), Path::new(home));
        check("/h/sessions/2026/11/20/rollout-x.jsonl", "/h");
        check("/h/archived_sessions/rollout-x.jsonl", "/h");
        check(
            "/sessions/h/archived_sessions/rollout-x.jsonl",
            "/sessions/h",
        );
        check("/elsewhere/rollout-x.jsonl", "/elsewhere");
    }
}
