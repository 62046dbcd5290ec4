//! The token that all processes share, so that a command runs once for all of them.
//!
//! The host keeps it for this user, in memory where the system has such a place. What cannot be shared is had by running
//! the command again: nothing here fails a request.

use dovetail_plugin_api::credentials::{self, Lock};
use dovetail_plugin_api::{Error, log};
use serde::{Deserialize, Serialize};

use crate::printed::Token;

/// The slot of the token.
const SLOT: &str = "token";
/// A token of which nobody knows when it ends is taken over from another process while it is this young.
const MOST_AGE_MS: u64 = 300_000;
/// A token is renewed this long before it ends, or a tenth of its life before, if that is shorter. The host does the same.
const MOST_SKEW_MS: u64 = 30_000;

/// A token with its times, in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dated {
    pub(crate) token: Token,
    /// When the command printed it.
    pub(crate) fetched_at_ms: u64,
    /// When another one is to be fetched.
    pub(crate) good_until_ms: Option<u64>,
}

impl Dated {
    /// A token that was printed now. `most_age_ms` is how old it may become; an end that has passed already says only that
    /// clocks differ, and the service decides.
    pub(crate) fn new(token: Token, now_ms: u64, most_age_ms: Option<u64>) -> Self {
        let end = token.expires_at_ms.filter(|end| *end > now_ms);
        let by_age = most_age_ms.map(|age| now_ms.saturating_add(age));
        Self {
            token,
            fetched_at_ms: now_ms,
            good_until_ms: [end, by_age].into_iter().flatten().min(),
        }
    }

    /// Whether another process may use it as well.
    pub(crate) fn is_good(&self, now_ms: u64) -> bool {
        // From a clock that was set back since.
        if self.fetched_at_ms > now_ms.saturating_add(MOST_SKEW_MS) {
            return false;
        }
        match self.good_until_ms {
            None => now_ms < self.fetched_at_ms.saturating_add(MOST_AGE_MS),
            Some(end) => {
                let life = end.saturating_sub(self.fetched_at_ms);
                now_ms < end.saturating_sub(MOST_SKEW_MS.min(life / 10))
            }
        }
    }
}

/// What is shared.
pub(crate) trait Shared {
    /// The token of whoever was last.
    fn read(&self) -> Option<Dated>;
    /// Replaces it.
    fn write(&self, dated: &Dated);
    /// Keeps others from running the command until the value is dropped.
    fn lock(&self, provider_id: &str) -> Option<Lock>;
}

/// The host's slot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot;

impl Shared for Slot {
    fn read(&self) -> Option<Dated> {
        let revealed = told(credentials::reveal(SLOT))?;
        // What another version wrote is as good as nothing.
        serde_json::from_slice(&revealed.value).ok()
    }

    fn write(&self, dated: &Dated) {
        let generation = told(credentials::reveal(SLOT)).map_or(0, |held| held.generation);
        if let Ok(value) = serde_json::to_vec(dated) {
            told(credentials::update(SLOT, generation, &value));
        }
    }

    fn lock(&self, provider_id: &str) -> Option<Lock> {
        told(Lock::acquire(provider_id))
    }
}

/// What was to be had. That there is nothing yet, or no place to share, is as expected; anything else goes to the log.
fn told<T>(answer: Result<T, Error>) -> Option<T> {
    match answer {
        Ok(value) => Some(value),
        Err(Error::Unavailable(_) | Error::Denied(_)) => None,
        Err(error) => {
            log::warn(format!(
                "the token is not shared with other processes: {error}"
            ));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_767_323_045_000;

    fn dated(expires_in: Option<i64>, most_age_ms: Option<u64>) -> Dated {
        let mut token = Token::read(b"tok").expect("a token");
        token.expires_at_ms = expires_in.map(|ms| NOW.saturating_add_signed(ms));
        Dated::new(token, NOW, most_age_ms)
    }

    #[test]
    fn a_token_is_good_until_its_own_end_or_the_age_that_is_set_whichever_is_first() {
        for (expires_in, most_age, expected) in [
            (None, None, None),
            (None, Some(60_000), Some(NOW + 60_000)),
            (Some(30_000), Some(60_000), Some(NOW + 30_000)),
            (Some(90_000), Some(60_000), Some(NOW + 60_000)),
            (Some(90_000), None, Some(NOW + 90_000)),
            // Clocks differ.
            (Some(-600_000), None, None),
            (Some(0), Some(60_000), Some(NOW + 60_000)),
        ] {
            let dated = dated(expires_in, most_age);
            assert_eq!(dated.good_until_ms, expected, "{expires_in:?} {most_age:?}");
        }
    }

    #[test]
    fn others_use_it_until_shortly_before_that() {
        let short = dated(Some(10_000), None);
        assert!(short.is_good(NOW + 8_999) && !short.is_good(NOW + 9_000));
        let long = dated(Some(3_600_000), None);
        assert!(long.is_good(NOW + 3_569_999) && !long.is_good(NOW + 3_570_000));
        let unknown = dated(None, None);
        assert!(unknown.is_good(NOW + 299_999) && !unknown.is_good(NOW + 300_000));
        assert!(
            !long.is_good(NOW - 60_000),
            "from a clock that was set back"
        );
    }
}
