//! What happened to plugins, until somebody comes to tell it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use dovetail_core::ids::PluginId;
use dovetail_core::plugin::{PluginEvent, PluginNews};

/// A session has a few per plugin. The oldest go first where nobody collects them.
const MOST_NEWS: usize = 1024;

/// News of all plugins of a session, in order.
#[derive(Debug, Default)]
pub struct News {
    waiting: Mutex<VecDeque<PluginNews>>,
    any: AtomicBool,
}

impl News {
    /// Adds something that happened now.
    pub fn tell(&self, plugin: &PluginId, event: PluginEvent) {
        self.add(PluginNews::now(plugin, event));
    }

    /// Adds something.
    pub fn add(&self, news: PluginNews) {
        // Nothing panics while holding the lock; a queue is usable in any state.
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() == MOST_NEWS {
            waiting.pop_front();
        }
        waiting.push_back(news);
        self.any.store(true, Ordering::Release);
    }

    /// Takes what has come in since the last time. Costs next to nothing where that is nothing.
    pub fn take(&self) -> Vec<PluginNews> {
        if !self.any.swap(false, Ordering::Acquire) {
            return Vec::new();
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.drain(..).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_are_taken_once_and_in_order_and_have_a_bound() {
        let news = News::default();
        let id = |n: usize| PluginId::parse(&format!("p{n}")).expect("valid");
        for n in 0..MOST_NEWS + 2 {
            news.tell(&id(n), PluginEvent::Released);
        }
        let taken = news.take();
        assert_eq!((taken.len(), taken[0].plugin.as_str()), (MOST_NEWS, "p2"));
        assert_eq!(news.take(), []);
    }
}
