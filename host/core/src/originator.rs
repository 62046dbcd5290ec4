//! Who a thread says it was started by: the `originator` of its requests and of its file.

/// Service names that stand for an originator of their own, in their canonical form.
const MAPPED: &[&str] = &[
    "codex_work_local",
    "codex_work_cloud",
    "codex_work_desktop",
    "codex_work_web",
    "codex_work_mobile",
    "codex_work_cca",
    "chatgpt_cca",
];

/// The longest originator. It travels in a header with every request.
const MAX_BYTES: usize = 64;

/// Everything that may say who started a thread, strongest first.
#[derive(Debug, Clone, Copy, Default)]
pub struct OriginatorSources<'a> {
    /// `CODEX_INTERNAL_ORIGINATOR_OVERRIDE`.
    pub overridden: Option<&'a str>,
    /// The service name that a client starts the thread under; only certain names count.
    pub service_name: Option<&'a str>,
    /// What the thread's own history says, on resume and fork.
    pub persisted: Option<&'a str>,
    /// What the thread says that starts this one or that it is forked from. It counts where a shortened history
    /// no longer says anything itself.
    pub parent: Option<&'a str>,
    /// What the process calls itself.
    pub process: &'a str,
}

impl OriginatorSources<'_> {
    /// The originator of the thread.
    pub fn thread(&self) -> String {
        let usable = |name: Option<&str>| {
            name.map(str::trim)
                .filter(|name| is_usable(name))
                .map(str::to_owned)
        };
        usable(self.overridden)
            .or_else(|| self.service_name.and_then(mapped).map(str::to_owned))
            .or_else(|| usable(self.persisted))
            .or_else(|| usable(self.parent))
            .unwrap_or_else(|| self.process.to_owned())
    }

    /// The originator of the process, which begins its user agent whatever its threads say.
    pub fn process(&self) -> String {
        self.overridden
            .map(str::trim)
            .filter(|name| is_usable(name))
            .unwrap_or(self.process)
            .to_owned()
    }
}

/// The originator that a service name stands for.
fn mapped(service_name: &str) -> Option<&'static str> {
    let name = service_name.trim();
    MAPPED
        .iter()
        .find(|mapped| mapped.eq_ignore_ascii_case(name))
        .copied()
}

/// The text goes into a header, so it must be plain. Words may be apart, as in `Codex Desktop`.
fn is_usable(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    !name.is_empty() && name.len() <= MAX_BYTES && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: OriginatorSources<'static> = OriginatorSources {
        overridden: Some("from_env"),
        service_name: Some("CODEX_WORK_LOCAL"),
        persisted: Some("from_file"),
        parent: Some("from_parent"),
        process: "codex_exec",
    };

    #[track_caller]
    fn check(sources: OriginatorSources<'_>, expected: &str) {
        assert_eq!(sources.thread(), expected, "{sources:?}");
    }

    #[test]
    fn the_strongest_source_wins() {
        let overridden = None;
        let service_name = None;
        let persisted = None;
        let parent = None;
        check(ALL, "from_env");
        check(OriginatorSources { overridden, ..ALL }, "codex_work_local");
        check(
            OriginatorSources {
                overridden,
                service_name,
                ..ALL
            },
            "from_file",
        );
        check(
            OriginatorSources {
                overridden,
                service_name,
                persisted,
                ..ALL
            },
            "from_parent",
        );
        check(
            OriginatorSources {
                overridden,
                service_name,
                persisted,
                parent,
                ..ALL
            },
            "codex_exec",
        );
    }

    #[test]
    fn only_certain_service_names_count_however_they_are_written() {
        let named = |name| OriginatorSources {
            service_name: Some(name),
            process: "codex_exec",
            ..OriginatorSources::default()
        };
        for (name, expected) in [
            ("CODEX_WORK_LOCAL", "codex_work_local"),
            ("CODEX_WORK_CLOUD", "codex_work_cloud"),
            ("  Codex_Work_Desktop\n", "codex_work_desktop"),
            ("codex_work_web", "codex_work_web"),
            ("codex_work_mobile", "codex_work_mobile"),
            ("CODEX_WORK_CCA", "codex_work_cca"),
            ("chatgpt_CCA", "chatgpt_cca"),
            ("codex_work_elsewhere", "codex_exec"),
            ("", "codex_exec"),
        ] {
            check(named(name), expected);
        }
    }

    #[test]
    fn what_no_header_can_hold_does_not_count() {
        let long = "x".repeat(MAX_BYTES + 1);
        for name in ["", "  ", "line\nend", "tab\tin it", "ä", &long] {
            let sources = OriginatorSources {
                overridden: Some(name),
                persisted: Some(name),
                process: "codex_exec",
                ..OriginatorSources::default()
            };
            check(sources, "codex_exec");
            assert_eq!(sources.process(), "codex_exec");
        }
    }

    #[test]
    fn a_name_may_have_several_words() {
        let sources = OriginatorSources {
            persisted: Some(" Codex Desktop "),
            process: "codex_exec",
            ..OriginatorSources::default()
        };
        check(sources, "Codex Desktop");
    }

    #[test]
    fn a_thread_does_not_change_what_the_process_calls_itself() {
        assert_eq!(ALL.process(), "from_env");
        let overridden = None;
        assert_eq!(
            OriginatorSources { overridden, ..ALL }.process(),
            "codex_exec"
        );
    }
}
