//! A plugin that can be replaced while it is used: each generation is a component of its own, calls in flight end on the
//! generation that they began on, and what fills the host's ports stays the same.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use dovetail_core::ids::PluginId;
use dovetail_core::plugin::{
    HookSubscription, OnFailure, PluginFault, ProviderDescription, SinkSubscription,
};

use crate::digest::Sha256;
use crate::inspect::{Extra, Inspection};
use crate::lock::Scope;
use crate::manifest::{Kind, Manifest};
use crate::plugin::Parts;
use crate::plugin_context::PluginContext;

/// All generations of a plugin in this session.
pub(crate) struct Live {
    id: PluginId,
    generations: Chain<Generation>,
    /// What runs, or why nothing does.
    stage: RwLock<Stage>,
}

/// What one component is. Small, and kept to the session's end, so that what it said of itself can be borrowed.
pub(crate) struct Generation {
    pub(crate) context: Arc<PluginContext>,
    pub(crate) manifest: Manifest,
    pub(crate) scope: Scope,
    pub(crate) sha256: Sha256,
    pub(crate) inspection: Inspection,
    faces: Faces,
}

/// What a component said of itself when it was loaded.
struct Faces {
    description: Option<ProviderDescription>,
    subscriptions: Vec<HookSubscription>,
    subscription: Option<SinkSubscription>,
}

enum Stage {
    Running(Parts),
    Stopped(String),
}

impl Generation {
    pub(crate) fn new(
        context: Arc<PluginContext>,
        manifest: Manifest,
        scope: Scope,
        sha256: Sha256,
        inspection: Inspection,
        parts: &Parts,
    ) -> Self {
        let hook = parts.hook.as_ref();
        let faces = Faces {
            description: parts
                .provider
                .as_ref()
                .map(|provider| provider.description().clone()),
            subscriptions: hook.map_or(Vec::new(), |hook| hook.subscriptions().to_vec()),
            subscription: parts.sink.as_ref().map(|sink| sink.subscription().clone()),
        };
        Self {
            context,
            manifest,
            scope,
            sha256,
            inspection,
            faces,
        }
    }

    fn kinds(&self) -> &BTreeSet<Kind> {
        &self.inspection.kinds
    }
}

impl Live {
    pub(crate) fn new(first: Generation, parts: Parts) -> Self {
        Self {
            id: first.context.id().clone(),
            generations: Chain::new(first),
            stage: RwLock::new(Stage::Running(parts)),
        }
    }

    pub(crate) fn id(&self) -> &PluginId {
        &self.id
    }

    /// The newest generation.
    pub(crate) fn current(&self) -> &Generation {
        self.generations.last().0
    }

    /// How many generations there were.
    pub(crate) fn count(&self) -> u64 {
        self.generations.last().1
    }

    /// What runs now. A call holds on to it until it ends.
    pub(crate) fn parts(&self) -> Result<Parts, PluginFault> {
        match &*self.stage.read().unwrap_or_else(PoisonError::into_inner) {
            Stage::Running(parts) => Ok(parts.clone()),
            Stage::Stopped(why) => Err(PluginFault::NotLoaded {
                plugin: self.id.clone(),
                why: why.clone(),
            }),
        }
    }

    /// Why it does not run, if it does not.
    pub(crate) fn stopped(&self) -> Option<String> {
        match &*self.stage.read().unwrap_or_else(PoisonError::into_inner) {
            Stage::Running(_) => None,
            Stage::Stopped(why) => Some(why.clone()),
        }
    }

    /// Puts another generation in the place of the one that runs, and returns that one's ports.
    pub(crate) fn replace(&self, generation: Generation, parts: Parts) -> Option<Parts> {
        let mut stage = self.stage.write().unwrap_or_else(PoisonError::into_inner);
        self.generations.push(generation);
        match std::mem::replace(&mut *stage, Stage::Running(parts)) {
            Stage::Running(old) => Some(old),
            Stage::Stopped(_) => None,
        }
    }

    /// Ends it: every call from now on is refused with the reason.
    pub(crate) fn stop(&self, why: String) {
        *self.stage.write().unwrap_or_else(PoisonError::into_inner) = Stage::Stopped(why);
    }

    pub(crate) fn description(&self) -> Option<&ProviderDescription> {
        self.current().faces.description.as_ref()
    }

    pub(crate) fn subscriptions(&self) -> &[HookSubscription] {
        &self.current().faces.subscriptions
    }

    /// One that was stopped fails closed, whatever it was granted: what was accepted is something else.
    pub(crate) fn on_failure(&self) -> OnFailure {
        let hook = self.parts().ok().and_then(|parts| parts.hook);
        hook.map_or(OnFailure::Deny, |hook| hook.on_failure())
    }

    pub(crate) fn subscription(&self) -> Option<&SinkSubscription> {
        self.current().faces.subscription.as_ref()
    }

    /// Whether a component with these exports can take the place of the one that runs.
    pub(crate) fn fits(&self, generation: &Generation) -> bool {
        let speaks = |of: &Generation| of.inspection.extras.contains(&Extra::Wire);
        let current = self.current();
        current.kinds() == generation.kinds() && speaks(current) == speaks(generation)
    }
}

/// Values that are only ever added, so that borrows of earlier ones stay good.
struct Chain<T> {
    value: T,
    next: OnceLock<Box<Chain<T>>>,
}

impl<T> Chain<T> {
    fn new(value: T) -> Self {
        Self {
            value,
            next: OnceLock::new(),
        }
    }

    fn end(&self) -> (&Self, u64) {
        let (mut at, mut count) = (self, 1);
        while let Some(next) = at.next.get() {
            (at, count) = (next, count + 1);
        }
        (at, count)
    }

    /// The newest value, and how many there are.
    fn last(&self) -> (&T, u64) {
        let (end, count) = self.end();
        (&end.value, count)
    }

    fn push(&self, value: T) {
        let mut new = Box::new(Self::new(value));
        // Another thread may have added one meanwhile; then this one comes after it.
        while let Err(back) = self.end().0.next.set(new) {
            new = back;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_grows_while_its_values_are_borrowed() {
        let chain = Chain::new(1);
        let first = chain.last().0;
        std::thread::scope(|threads| {
            for value in 2..6 {
                let chain = &chain;
                threads.spawn(move || chain.push(value));
            }
        });
        assert_eq!((*first, chain.last().1), (1, 5));
    }
}
