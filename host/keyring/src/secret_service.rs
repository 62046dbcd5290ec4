//! The Secret Service on the session bus.
//!
//! Entries have the attributes `service` and `username`, as those of most keyring libraries, so that what one program keeps
//! another finds. Values cross the bus unencrypted: whoever may listen there may as well ask the service for them.

use std::collections::HashMap;
use std::time::Duration;

use secret_service::{Collection, EncryptionType, Error, Item, SecretService};
use tokio::time::timeout;
use zbus::connection::Builder;
use zeroize::Zeroizing;

use crate::{Entry, Keyring, KeyringError};

/// What the service keeps is text or a document.
const CONTENT_TYPE: &str = "text/plain; charset=utf8";

pub(crate) async fn get(
    keyring: &Keyring,
    entry: &Entry,
) -> Result<Option<Zeroizing<Vec<u8>>>, KeyringError> {
    let service = connect(keyring).await?;
    let Some(item) = find(keyring, &service, entry).await? else {
        return Ok(None);
    };
    let value = in_time(keyring.answer, item.get_secret()).await?;
    Ok(Some(Zeroizing::new(value)))
}

pub(crate) async fn set(
    keyring: &Keyring,
    entry: &Entry,
    value: &[u8],
) -> Result<(), KeyringError> {
    let service = connect(keyring).await?;
    if let Some(item) = find(keyring, &service, entry).await? {
        return in_time(keyring.answer, item.set_secret(value, CONTENT_TYPE)).await;
    }
    let collection = in_time(keyring.answer, service.get_default_collection()).await?;
    unlock_collection(keyring, &collection).await?;
    let label = entry.to_string();
    let made = collection.create_item(&label, attributes(entry), value, true, CONTENT_TYPE);
    // Making one may ask a person too.
    in_time(keyring.unlock, made).await.map(drop)
}

pub(crate) async fn delete(keyring: &Keyring, entry: &Entry) -> Result<bool, KeyringError> {
    let service = connect(keyring).await?;
    let Some(item) = find(keyring, &service, entry).await? else {
        return Ok(false);
    };
    in_time(keyring.unlock, item.delete()).await?;
    Ok(true)
}

async fn connect(keyring: &Keyring) -> Result<SecretService<'static>, KeyringError> {
    let address = keyring.address.as_deref().ok_or(KeyringError::NoBus)?;
    let connecting = async {
        let bus = Builder::address(address)?.build().await?;
        SecretService::connect_with_existing(EncryptionType::Plain, bus).await
    };
    match timeout(keyring.answer, connecting).await {
        Err(_) => Err(KeyringError::Silent(keyring.answer)),
        Ok(Err(error)) => Err(KeyringError::NoService(words(&error))),
        Ok(Ok(service)) => Ok(service),
    }
}

/// The one item of that name, unlocked.
async fn find<'s>(
    keyring: &Keyring,
    service: &'s SecretService<'static>,
    entry: &Entry,
) -> Result<Option<Item<'s>>, KeyringError> {
    let found = in_time(keyring.answer, service.search_items(attributes(entry))).await?;
    let locked = !found.locked.is_empty();
    let mut items = found.unlocked;
    items.extend(found.locked);
    match (items.pop(), items.len()) {
        (None, _) => Ok(None),
        (Some(_), more @ 1..) => Err(KeyringError::Ambiguous(more + 1)),
        (Some(item), 0) => {
            if locked {
                unlocked(timeout(keyring.unlock, item.unlock()).await)?;
            }
            Ok(Some(item))
        }
    }
}

async fn unlock_collection(
    keyring: &Keyring,
    collection: &Collection<'_>,
) -> Result<(), KeyringError> {
    if !in_time(keyring.answer, collection.is_locked()).await? {
        return Ok(());
    }
    unlocked(timeout(keyring.unlock, collection.unlock()).await)
}

fn attributes(entry: &Entry) -> HashMap<&str, &str> {
    HashMap::from([("service", entry.service()), ("username", entry.account())])
}

fn unlocked(
    asked: Result<Result<(), Error>, tokio::time::error::Elapsed>,
) -> Result<(), KeyringError> {
    match asked {
        Ok(Ok(())) => Ok(()),
        Ok(Err(Error::Prompt)) => Err(KeyringError::Locked("the prompt was dismissed")),
        Ok(Err(error)) => Err(refused(&error)),
        Err(_) => Err(KeyringError::Locked("nobody answered the prompt")),
    }
}

async fn in_time<T>(
    limit: Duration,
    asked: impl Future<Output = Result<T, Error>>,
) -> Result<T, KeyringError> {
    match timeout(limit, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(refused(&error)),
        Err(_) => Err(KeyringError::Silent(limit)),
    }
}

fn refused(error: &Error) -> KeyringError {
    match error {
        Error::Locked => KeyringError::Locked("it takes a person to do that"),
        Error::Prompt => KeyringError::Locked("the prompt was dismissed"),
        Error::NoResult => KeyringError::Refused("there is no default keyring".to_owned()),
        other => KeyringError::Refused(words(other)),
    }
}

/// The innermost cause, without the names of libraries before it.
fn words(error: &Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
