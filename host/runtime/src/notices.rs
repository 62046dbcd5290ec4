//! What happens to plugins while they run, for whoever tells people and sinks.

use std::sync::{Mutex, PoisonError};

use dovetail_core::ids::PluginId;

/// Something that happened to a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Which.
    pub plugin: PluginId,
    /// What.
    pub kind: NoticeKind,
    /// One sentence that names the plugin.
    pub sentence: String,
}

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeKind {
    /// It is not called any more, since it is not what was accepted.
    Drifted,
}

impl NoticeKind {
    /// The word in events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Drifted => "drifted",
        }
    }
}

type Listener = Box<dyn Fn(&Notice) + Send + Sync>;

/// Those who want to know. They are called between two steps of a turn and must not wait.
#[derive(Default)]
pub struct Notices(Mutex<Vec<Listener>>);

impl Notices {
    /// Has a function called with every notice from now on.
    pub fn listen(&self, listener: impl Fn(&Notice) + Send + Sync + 'static) {
        let mut listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.push(Box::new(listener));
    }

    pub(crate) fn tell(&self, notice: &Notice) {
        tracing::warn!(plugin = %notice.plugin, "{}", notice.sentence);
        let listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.iter().for_each(|listener| listener(notice));
    }
}

impl std::fmt::Debug for Notices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Notices(…)")
    }
}
