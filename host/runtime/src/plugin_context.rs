//! One loaded plugin, as all its instances share it: identity, grant, limits, counters.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use dovetail_core::ids::PluginId;
use dovetail_core::plugin::{PluginError, PluginEvent, PluginFault};
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

use crate::convert::unix_ms;
use crate::drift::Watch;
use crate::fs_guard::AppendOnly;
use crate::fs_rule::{Access, FsRuleError};
use crate::grant::Grant;
use crate::guest_log::{GuestLog, Level};
use crate::health::{Admission, Health};
use crate::ledger::Subject;
use crate::manifest::Limits;
use crate::services::Services;
use crate::stats::{Counters, Tally};

/// Different refusals of a plugin that are told; a guest that makes up more is not more interesting.
const MOST_DENIALS: usize = 32;

/// One loaded plugin.
pub(crate) struct PluginContext {
    id: PluginId,
    grant: Arc<Grant>,
    limits: Limits,
    config_json: String,
    env: Vec<(String, String)>,
    mounts: Vec<Mount>,
    services: Arc<Services>,
    log: GuestLog,
    health: Health,
    counters: Counters,
    watch: Option<Watch>,
    subject: Subject,
    /// What of the counters is in the ledger already.
    noted: Mutex<Tally>,
    /// The refusals that were told.
    denials: Mutex<BTreeSet<String>>,
}

/// A directory of the host as a guest sees it.
struct Mount {
    host: PathBuf,
    guest: String,
    access: Access,
}

impl PluginContext {
    /// Resolves what the grant lists on this machine.
    pub(crate) fn new(
        id: PluginId,
        grant: Arc<Grant>,
        limits: Limits,
        config: &serde_json::Value,
        services: Arc<Services>,
        watch: Option<Watch>,
        subject: Subject,
    ) -> Result<Self, FsRuleError> {
        let mounts = mounts(&id, &grant, &services)?;
        let config_json = if config.is_null() {
            "{}".to_owned()
        } else {
            config.to_string()
        };
        let env = services.env().for_guest(&grant);
        let log = GuestLog::new(id.clone());
        let health = Health::open(services.ledger().clone(), subject.clone());
        Ok(Self {
            id,
            grant,
            limits,
            config_json,
            env,
            mounts,
            services,
            log,
            health,
            counters: Counters::default(),
            watch,
            subject,
            noted: Mutex::default(),
            denials: Mutex::default(),
        })
    }

    pub(crate) fn id(&self) -> &PluginId {
        &self.id
    }

    pub(crate) fn grant(&self) -> &Grant {
        &self.grant
    }

    /// The same to pass on.
    pub(crate) fn own_grant(&self) -> &Arc<Grant> {
        &self.grant
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn config_json(&self) -> &str {
        &self.config_json
    }

    pub(crate) fn env(&self) -> &[(String, String)] {
        &self.env
    }

    pub(crate) fn services(&self) -> &Arc<Services> {
        &self.services
    }

    pub(crate) fn log(&self) -> &GuestLog {
        &self.log
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn health(&self) -> &Health {
        &self.health
    }

    /// Opens the granted directories for a new instance.
    pub(crate) fn mount(&self, wasi: &mut WasiCtxBuilder) -> wasmtime::Result<AppendOnly> {
        let mut append_only = Vec::with_capacity(self.mounts.len());
        for mount in &self.mounts {
            let perms = match mount.access {
                Access::Read => FsPerms::ReadOnly,
                Access::Append | Access::Write => FsPerms::ReadWrite,
            };
            match wasi.preopened_dir(&mount.host, &mount.guest, perms) {
                Ok(_) => append_only.push(mount.access == Access::Append),
                // The guest finds nothing there, as it would in any other program.
                Err(e) => {
                    tracing::debug!(plugin = %self.id, "cannot open `{}`: {e}", mount.host.display())
                }
            }
        }
        Ok(AppendOnly::new(append_only))
    }

    /// Fails where the plugin is not called any more.
    pub(crate) fn admit(&self) -> Result<(), PluginFault> {
        if let Some(fault) = self.drifted() {
            return Err(fault);
        }
        match self.health.admit() {
            Admission::Admitted => Ok(()),
            Admission::Released => {
                self.tell(PluginEvent::Released);
                Ok(())
            }
            Admission::Quarantined(faults) => Err(PluginFault::Quarantined {
                plugin: self.id.clone(),
                faults,
            }),
        }
    }

    /// The plugin is not what was accepted any more: it is told about once, and gets nothing any more.
    fn drifted(&self) -> Option<PluginFault> {
        let (why, is_new) = self.watch.as_ref()?.look()?;
        let fault = PluginFault::Drifted {
            plugin: self.id.clone(),
            why,
        };
        if is_new {
            self.services.egress().revoke(&self.id);
            let why = fault.to_string();
            tracing::warn!(plugin = %self.id, "{why}");
            self.tell(PluginEvent::Changed { why });
        }
        Some(fault)
    }

    /// How the plugin is not what was accepted, as far as that is known.
    pub(crate) fn drift(&self) -> Option<String> {
        self.watch.as_ref().and_then(Watch::drift)
    }

    /// Whether the plugin is known not to be what was accepted.
    pub(crate) fn has_drifted(&self) -> bool {
        self.drift().is_some()
    }

    /// How long to wait before the next instance is made.
    pub(crate) fn back_off(&self) -> Duration {
        self.health.back_off(unix_ms(SystemTime::now()))
    }

    /// Notes the end of a call.
    pub(crate) fn called(&self, took: Duration, memory: u64) {
        self.counters.called(took, memory);
    }

    /// Adds to the ledger what it did since the last time. Blocks for a small write where it did something.
    pub(crate) fn note_activity(&self) {
        // Nothing panics while holding the lock; numbers are usable in any state.
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.counters.tally();
        let more = now.since(&noted);
        if more.is_empty() {
            return;
        }
        let time = unix_ms(SystemTime::now());
        match self
            .services
            .ledger()
            .note_activity(&self.subject, &more, time)
        {
            Ok(()) => *noted = now,
            Err(e) => tracing::debug!(plugin = %self.id, "what it did is not kept: {e}"),
        }
    }

    /// What it was refused.
    pub(crate) fn denials(&self) -> Vec<String> {
        let denials = self.denials.lock().unwrap_or_else(PoisonError::into_inner);
        denials.iter().cloned().collect()
    }

    fn tell(&self, event: PluginEvent) {
        self.services.news().tell(&self.id, event);
    }

    /// Notes that the guest broke.
    pub(crate) fn faulted(&self, fault: &PluginFault) {
        self.counters.faulted();
        let why = fault.to_string();
        tracing::warn!(plugin = %self.id, "{why}");
        let quarantine = self.health.fault(unix_ms(SystemTime::now()), &why);
        self.tell(PluginEvent::Broke { why: why.clone() });
        if let Some(faults) = quarantine {
            tracing::warn!(plugin = %self.id, "it broke too often and is quarantined");
            self.tell(PluginEvent::Quarantined { faults, why });
        }
    }

    /// Notes a denial on its way to the guest.
    pub(crate) fn noted<T>(&self, answer: Result<T, PluginError>) -> Result<T, PluginError> {
        if let Err(PluginError::Denied(what)) = &answer {
            self.counters.denied();
            self.log.write(Level::Warn, &format!("denied: {what}"));
            self.tell_denial(what);
        }
        answer
    }

    /// Tells a refusal once: a guest may ask in a loop, and a sink that is refused something over an event must not
    /// cause another.
    fn tell_denial(&self, what: &str) {
        let mut denials = self.denials.lock().unwrap_or_else(PoisonError::into_inner);
        if denials.len() < MOST_DENIALS && denials.insert(what.to_owned()) {
            drop(denials);
            self.tell(PluginEvent::Denied {
                what: what.to_owned(),
            });
        }
    }
}

fn mounts(id: &PluginId, grant: &Grant, services: &Services) -> Result<Vec<Mount>, FsRuleError> {
    let base = services.fs_base();
    let resolve = |rule: &crate::fs_rule::FsRule| {
        let host = rule.resolve(&base)?;
        let made = match rule.access() {
            Access::Read => std::fs::read_dir(&host).map(drop),
            // A place to write to is made, as a shell's redirection would make the file.
            Access::Append | Access::Write => std::fs::create_dir_all(&host),
        };
        if let Err(e) = made {
            tracing::warn!(plugin = %id, "it will not find the directory `{}`: {e}", host.display());
        }
        Ok(Mount {
            host,
            guest: rule.mount().to_owned(),
            access: rule.access(),
        })
    };
    grant.fs().map(resolve).collect()
}
