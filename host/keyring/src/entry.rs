//! The name of an entry: what most programs that keep one use, a service and an account.

use std::fmt;

/// What an entry is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    service: String,
    account: String,
}

/// A text that names no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an entry of the keyring is written SERVICE/ACCOUNT")]
pub struct InvalidEntry;

impl Entry {
    /// An entry of a service for an account.
    ///
    /// # Errors
    /// Where one of them is empty or holds a NUL.
    pub fn new(service: &str, account: &str) -> Result<Self, InvalidEntry> {
        let usable = |text: &str| !text.is_empty() && !text.contains('\0');
        match usable(service) && usable(account) {
            true => Ok(Self {
                service: service.to_owned(),
                account: account.to_owned(),
            }),
            false => Err(InvalidEntry),
        }
    }

    /// Reads `SERVICE/ACCOUNT`. What follows the last `/` is the account: services are often named by a URL.
    ///
    /// # Errors
    /// Where a part is missing.
    pub fn parse(text: &str) -> Result<Self, InvalidEntry> {
        let (service, account) = text.rsplit_once('/').ok_or(InvalidEntry)?;
        Self::new(service, account)
    }

    /// Who keeps it.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// For whom.
    pub fn account(&self) -> &str {
        &self.account
    }
}

/// The form that [`Entry::parse`] reads.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service, self.account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_service_and_an_account() {
        for (text, service, account) in [
            ("acme/ann@acme.example", "acme", "ann@acme.example"),
            ("https://acme.example/ann", "https://acme.example", "ann"),
            ("Acme Gateway/cli|1f0c", "Acme Gateway", "cli|1f0c"),
        ] {
            let entry = Entry::parse(text).expect("valid");
            assert_eq!((entry.service(), entry.account()), (service, account));
            assert_eq!(entry.to_string(), text);
        }
        for text in ["", "acme", "/ann", "acme/", "a\0b/c"] {
            assert_eq!(Entry::parse(text), Err(InvalidEntry), "{text}");
        }
    }
}
