//! Keeps a provider's credential until it ends or is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use dovetail_core::plugin::{
    Failure, HeaderTemplate, PluginError, Prepared, Provider, Recovery, Scope,
};
use dovetail_core::retry::RecoveryStep;
use tokio::sync::Mutex;

/// A credential is renewed this long before it ends, or a tenth of its life before, if that is shorter: a request
/// takes time to arrive, and clocks differ.
const MOST_SKEW: Duration = Duration::from_secs(30);

/// A credential for one request.
#[derive(Debug)]
pub(crate) struct Credential {
    pub(crate) headers: Arc<[HeaderTemplate]>,
    /// Tells it from those before and after it.
    pub(crate) generation: u64,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u64,
    held: Vec<(Scope, Held)>,
}

#[derive(Debug)]
struct Held {
    headers: Arc<[HeaderTemplate]>,
    good_until: Option<SystemTime>,
}

/// The credentials of one provider, by scope. Clients that are given clones share them, so that however many threads
/// are refused at once, one of them has the provider recover.
///
/// The lock is held while the provider works on purpose: whoever comes meanwhile wants that same credential, and a
/// caller that is cancelled gives the turn to the next. There is one generation for all scopes: what a provider recovers
/// is behind all of them.
#[derive(Debug, Clone, Default)]
pub struct Credentials(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    slot: Mutex<Slot>,
    /// The newest generation that a server refused.
    refused: AtomicU64,
}

impl Credentials {
    /// The credential: the one that is held, or a new one.
    pub(crate) async fn get(
        &self,
        provider: &dyn Provider,
        scope: &Scope,
    ) -> Result<Credential, PluginError> {
        let mut slot = self.0.slot.lock().await;
        let generation = slot.generation;
        let held = slot.held.iter().find(|(known, _)| known == scope);
        if let Some((_, held)) = held.filter(|(_, held)| held.is_good(SystemTime::now())) {
            return Ok(Credential {
                headers: Arc::clone(&held.headers),
                generation,
            });
        }
        let held = Held::new(provider.prepare(scope).await?, SystemTime::now());
        let headers = Arc::clone(&held.headers);
        slot.forget(scope);
        slot.held.push((scope.clone(), held));
        Ok(Credential {
            headers,
            generation,
        })
    }

    /// Forgets a credential that the provider itself cannot use any more: the next request asks for another.
    pub(crate) async fn forget(&self, scope: &Scope) {
        self.0.slot.lock().await.forget(scope);
    }

    /// Notes that a server refused a credential.
    pub(crate) fn refuse(&self, generation: u64) {
        self.0.refused.fetch_max(generation, Ordering::Relaxed);
    }

    /// Has the provider recover the refused credential, unless somebody else has done that since.
    pub(crate) async fn recover(
        &self,
        provider: &dyn Provider,
        scope: &Scope,
        failure: &Failure,
        step: RecoveryStep,
    ) -> Recovery {
        let mut slot = self.0.slot.lock().await;
        if slot.generation > self.0.refused.load(Ordering::Relaxed) {
            return Recovery::Changed;
        }
        slot.held.clear();
        let asked = match step {
            RecoveryStep::First => provider.recover(scope, failure).await,
            RecoveryStep::Second => provider.renew(scope).await,
        };
        let recovery = match asked {
            Ok(recovery) => recovery,
            Err(error @ PluginError::Retryable { .. }) => Recovery::Transient(error.to_string()),
            Err(error) => Recovery::Permanent(error.to_string()),
        };
        if recovery == Recovery::Changed {
            slot.generation += 1;
        }
        recovery
    }
}

impl Slot {
    fn forget(&mut self, scope: &Scope) {
        self.held.retain(|(known, _)| known != scope);
    }
}

impl Held {
    fn new(prepared: Prepared, now: SystemTime) -> Self {
        let good_until = prepared.expires_at.map(|end| {
            let life = end.duration_since(now).unwrap_or_default();
            end.checked_sub(MOST_SKEW.min(life / 10)).unwrap_or(now)
        });
        Self {
            headers: prepared.headers.into(),
            good_until,
        }
    }

    fn is_good(&self, now: SystemTime) -> bool {
        self.good_until.is_none_or(|end| now < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_renewed_before_they_end() {
        let now = SystemTime::now();
        let good = |life: u64, after: u64| {
            let expires_at = Some(now + Duration::from_secs(life));
            Held::new(
                Prepared {
                    headers: Vec::new(),
                    expires_at,
                },
                now,
            )
            .is_good(now + Duration::from_secs(after))
        };
        assert!(good(3600, 3569) && !good(3600, 3571));
        assert!(good(100, 89) && !good(100, 91));
        assert!(!good(0, 0));
        assert!(
            Held::new(
                Prepared {
                    headers: Vec::new(),
                    expires_at: None
                },
                now
            )
            .is_good(now + MOST_SKEW * 9999)
        );
    }
}
