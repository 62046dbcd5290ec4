//! The objects of the Secret Service, as far as its clients ask for them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, MutexGuard};

use zbus::object_server::SignalEmitter;
use zbus::zvariant::{ObjectPath, OwnedObjectPath, OwnedValue, Value};
use zbus::{ObjectServer, fdo, interface};

use super::{Kept, Prompting, Shared, State};

pub(super) const SERVICE: &str = "/org/freedesktop/secrets";
pub(super) const COLLECTION: &str = "/org/freedesktop/secrets/collection/login";
pub(super) const PROMPT: &str = "/org/freedesktop/secrets/prompt/p";
const SESSION: &str = "/org/freedesktop/secrets/session/s";
/// No prompt.
const NONE: &str = "/";
const ATTRIBUTES: &str = "org.freedesktop.Secret.Item.Attributes";

/// Session, parameters, value, content type.
type Secret = (OwnedObjectPath, Vec<u8>, Vec<u8>, String);

pub(super) struct Service(pub(super) Shared);
pub(super) struct Collection(pub(super) Shared);
pub(super) struct Prompt(pub(super) Shared);
struct Item(Shared, u32);

fn path(text: &str) -> OwnedObjectPath {
    ObjectPath::try_from(text.to_owned())
        .expect("it is written as one")
        .into()
}

fn item_path(number: u32) -> OwnedObjectPath {
    path(&format!("{COLLECTION}/{number}"))
}

fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    shared.lock().expect("no test panics while it holds it")
}

/// Keeps an item in the place of one with the same attributes.
pub(super) async fn keep(
    shared: &Shared,
    server: &ObjectServer,
    kept: Kept,
) -> zbus::Result<OwnedObjectPath> {
    let number = {
        let mut state = lock(shared);
        let same = state.items.iter().find(|(_, item)| item.0 == kept.0);
        let number = same.map_or(state.made + 1, |(number, _)| *number);
        state.made = state.made.max(number);
        state.items.insert(number, kept);
        number
    };
    let path = item_path(number);
    server
        .at(path.clone(), Item(Arc::clone(shared), number))
        .await?;
    Ok(path)
}

#[interface(name = "org.freedesktop.Secret.Service")]
impl Service {
    fn open_session(
        &self,
        algorithm: &str,
        _input: Value<'_>,
    ) -> fdo::Result<(OwnedValue, OwnedObjectPath)> {
        match algorithm {
            "plain" => Ok((zbus::zvariant::Str::from_static("").into(), path(SESSION))),
            other => Err(fdo::Error::NotSupported(other.to_owned())),
        }
    }

    fn search_items(
        &self,
        attributes: HashMap<String, String>,
    ) -> (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) {
        let mut state = lock(&self.0);
        state.asked += 1;
        let wanted = |item: &&u32| {
            let kept = &state.items[*item].0;
            attributes
                .iter()
                .all(|(name, value)| kept.get(name) == Some(value))
        };
        let found = state.items.keys().filter(wanted).map(|n| item_path(*n));
        match state.locked {
            true => (Vec::new(), found.collect()),
            false => (found.collect(), Vec::new()),
        }
    }

    fn unlock(&self, objects: Vec<OwnedObjectPath>) -> (Vec<OwnedObjectPath>, OwnedObjectPath) {
        match lock(&self.0).locked {
            true => (Vec::new(), path(PROMPT)),
            false => (objects, path(NONE)),
        }
    }

    fn read_alias(&self, name: &str) -> OwnedObjectPath {
        path(if name == "default" { COLLECTION } else { NONE })
    }
}

#[interface(name = "org.freedesktop.Secret.Collection")]
impl Collection {
    async fn create_item(
        &self,
        mut properties: HashMap<String, OwnedValue>,
        secret: Secret,
        _replace: bool,
        #[zbus(object_server)] server: &ObjectServer,
    ) -> fdo::Result<(OwnedObjectPath, OwnedObjectPath)> {
        let none = || fdo::Error::InvalidArgs("it has no attributes".to_owned());
        let attributes = properties.remove(ATTRIBUTES).ok_or_else(none)?;
        let attributes: HashMap<String, String> = attributes.try_into().map_err(|_| none())?;
        let attributes: BTreeMap<_, _> = attributes.into_iter().collect();
        let made = keep(&self.0, server, (attributes, secret.2)).await?;
        Ok((made, path(NONE)))
    }

    #[zbus(property)]
    fn locked(&self) -> bool {
        lock(&self.0).locked
    }
}

#[interface(name = "org.freedesktop.Secret.Item")]
impl Item {
    fn get_secret(&self, session: OwnedObjectPath) -> fdo::Result<(Secret,)> {
        let state = lock(&self.0);
        if state.locked {
            return Err(fdo::Error::AccessDenied("it is locked".to_owned()));
        }
        let gone = || fdo::Error::UnknownObject("it is gone".to_owned());
        let value = state.items.get(&self.1).ok_or_else(gone)?.1.clone();
        Ok(((session, Vec::new(), value, "text/plain".to_owned()),))
    }

    fn set_secret(&self, secret: Secret) {
        if let Some(item) = lock(&self.0).items.get_mut(&self.1) {
            item.1 = secret.2;
        }
    }

    fn delete(&self) -> OwnedObjectPath {
        lock(&self.0).items.remove(&self.1);
        path(NONE)
    }

    #[zbus(property)]
    fn locked(&self) -> bool {
        lock(&self.0).locked
    }
}

#[interface(name = "org.freedesktop.Secret.Prompt")]
impl Prompt {
    async fn prompt(
        &self,
        _window: &str,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> fdo::Result<()> {
        let dismissed = {
            let mut state = lock(&self.0);
            match state.prompting {
                Prompting::Never | Prompting::Unanswered => return Ok(()),
                Prompting::Dismissed => true,
                Prompting::Accepted => {
                    state.locked = false;
                    false
                }
            }
        };
        Self::completed(
            &emitter,
            dismissed,
            Value::from(Vec::<ObjectPath<'_>>::new()),
        )
        .await?;
        Ok(())
    }

    #[zbus(signal)]
    async fn completed(
        emitter: &SignalEmitter<'_>,
        dismissed: bool,
        result: Value<'_>,
    ) -> zbus::Result<()>;
}
