//! Keeping the tokens of an account fresh: one refresh for all who share the store, and nothing lost on the way.

use dovetail_plugin_api::{Error, date, log};

use crate::authority::{Authority, Refusal};
use crate::claims::Claims;
use crate::document::{NewTokens, Tokens};
use crate::login::{Login, Stored, stored};
use crate::outside::{Outside, STORE};
use crate::settings::Settings;

/// A token is refreshed this long before it ends.
const EARLY_S: u64 = 5 * 60;
/// A token that does not say when it ends is refreshed after so long.
const STALE_MS: u64 = 8 * 24 * 60 * 60 * 1000;
/// A refresh that failed for now is not tried again for so long, while the old token may still do: an authority that hangs
/// would hold up every request of a turn.
const PUT_OFF_MS: u64 = 60 * 1000;
/// The lock that everybody who refreshes takes.
const LOCK: &str = "refresh";
/// How often a change by somebody else is taken in before the tokens are kept in memory alone.
const MOST_CONFLICTS: usize = 5;

/// Why a token is refreshed, as the authority is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It ends soon.
    Proactive,
    /// It was refused.
    Unauthorized,
}

impl Reason {
    fn name(self) -> &'static str {
        match self {
            Self::Proactive => "proactive_expiry",
            Self::Unauthorized => "unauthorized_recovery",
        }
    }
}

/// What is known of refreshes in this process.
#[derive(Debug, Default)]
pub(crate) struct Refresher {
    /// A refresh token that the authority will never take again, and its words.
    ended: Option<(String, String)>,
    /// The access token that came last. It is fresh, even where this machine's clock says that it has ended.
    newest: Option<String>,
    /// An access token whose refresh failed for now, and until when it is left at that.
    put_off: Option<(String, u64)>,
    /// Tokens that could not be stored, by the refresh token that they cost.
    unsaved: Option<(String, Tokens)>,
}

impl Refresher {
    /// Tokens as they were read, or those that took their place and could not be stored.
    pub(crate) fn newer(&self, read: Tokens) -> Tokens {
        match &self.unsaved {
            Some((spent, tokens)) if *spent == read.refresh_token => tokens.clone(),
            Some(_) | None => read,
        }
    }

    /// Whether tokens should be refreshed before they are used.
    pub(crate) fn is_due(&self, tokens: &Tokens, last_refresh: Option<&str>, now_ms: u64) -> bool {
        if self.newest.as_deref() == Some(&tokens.access_token) {
            return false;
        }
        let put_off = self.put_off.as_ref();
        if put_off.is_some_and(|(token, until)| *token == tokens.access_token && now_ms < *until) {
            return false;
        }
        match Claims::of(&tokens.access_token).expires_at {
            Some(end) => end <= now_ms / 1000 + EARLY_S,
            None => last_refresh
                .and_then(date::parse_rfc3339)
                .is_some_and(|last| last.saturating_add(STALE_MS) <= now_ms),
        }
    }

    /// When the host should ask for tokens again; none where only a refusal tells.
    pub(crate) fn good_until_ms(&self, tokens: &Tokens) -> Option<u64> {
        if self.newest.as_deref() == Some(&tokens.access_token) {
            return None;
        }
        let end = Claims::of(&tokens.access_token).expires_at?;
        Some(end.saturating_sub(EARLY_S) * 1000)
    }

    /// Gets tokens that are newer than `held`: those that somebody else has stored meanwhile, or else the authority's.
    pub(crate) fn refresh(
        &mut self,
        outside: &dyn Outside,
        settings: &Settings,
        held: &Tokens,
        reason: Reason,
    ) -> Result<Tokens, Refusal> {
        let refreshed = self.newer_than(outside, settings, held, reason);
        if let Err(Refusal::Transient(_)) = refreshed {
            let until = outside.now_ms().saturating_add(PUT_OFF_MS);
            self.put_off = Some((held.access_token.clone(), until));
        }
        refreshed
    }

    fn newer_than(
        &mut self,
        outside: &dyn Outside,
        settings: &Settings,
        held: &Tokens,
        reason: Reason,
    ) -> Result<Tokens, Refusal> {
        let _lock = outside.lock(LOCK).map_err(|error| transient(&error))?;
        let stored =
            stored(outside, settings).map_err(|error| Refusal::Permanent(error.to_string()))?;
        let Some(stored) = stored else {
            return Err(Refusal::Permanent(signed_out()));
        };
        let current = self.newer(same_account(&stored, held)?);
        let last_refresh = stored.document.last_refresh();
        if current.access_token != held.access_token
            && (reason == Reason::Unauthorized
                || !self.is_due(&current, last_refresh, outside.now_ms()))
        {
            return Ok(current);
        }
        if let Some((_, words)) = self
            .ended
            .as_ref()
            .filter(|(token, _)| *token == current.refresh_token)
        {
            return Err(Refusal::Permanent(words.clone()));
        }
        if current.refresh_token.is_empty() {
            return Err(Refusal::Permanent(
                "the ChatGPT login has no refresh token: sign in again with `dovetail login`"
                    .to_owned(),
            ));
        }
        let answer =
            Authority::new(outside, settings).refresh(&current.refresh_token, reason.name());
        let new = answer
            .and_then(|new| of_same_account(new, &current))
            .inspect_err(|refusal| {
                if let Refusal::Permanent(words) = refusal {
                    self.ended = Some((current.refresh_token.clone(), words.clone()));
                }
            })?;
        let kept = keep(outside, settings, stored, &current, &new)?;
        self.newest = Some(kept.tokens.access_token.clone());
        self.unsaved = kept.unsaved_for.map(|spent| (spent, kept.tokens.clone()));
        if reason == Reason::Unauthorized && kept.tokens.access_token == held.access_token {
            return Err(Refusal::Transient(
                "the login could not be refreshed: the authority gave no other access token"
                    .to_owned(),
            ));
        }
        Ok(kept.tokens)
    }
}

/// Tokens that an authority gave, unless they say that they are of another account than those that they replace.
fn of_same_account(new: NewTokens, old: &Tokens) -> Result<NewTokens, Refusal> {
    let account = |id_token: &str| Claims::of(id_token).account_id;
    let before = account(&old.id_token);
    let after = new.id_token.as_deref().and_then(account);
    // An account that was chosen may differ from the one that the id token names, as long as that one stays.
    if before.is_some() && after.is_some() && after != before && after != old.account_id {
        return Err(Refusal::Permanent(
            "the authority gave tokens of another account for this login: sign in again with `dovetail login`"
                .to_owned(),
        ));
    }
    Ok(new)
}

/// The stored tokens, if they are those of the same account.
pub(crate) fn same_account(stored: &Stored, held: &Tokens) -> Result<Tokens, Refusal> {
    let current = stored
        .document
        .tokens()
        .ok_or_else(|| Refusal::Permanent(signed_out()))?;
    if current.account_id != held.account_id {
        return Err(Refusal::Permanent(
            "somebody has signed in to another account since this session began: start a new one to use it".to_owned(),
        ));
    }
    Ok(current)
}

fn signed_out() -> String {
    "the login is gone from its store since this session began: sign in again with `dovetail login`"
        .to_owned()
}

fn transient(error: &Error) -> Refusal {
    Refusal::Transient(format!("the login could not be refreshed: {error}"))
}

/// Tokens that an authority gave, and what became of them.
struct Kept {
    tokens: Tokens,
    /// The refresh token that the store still has, where they could not be stored.
    unsaved_for: Option<String>,
}

/// Stores what the authority gave. The old refresh token is spent by now, so whatever goes wrong here, the new tokens
/// are used.
fn keep(
    outside: &dyn Outside,
    settings: &Settings,
    mut read: Stored,
    spent: &Tokens,
    new: &NewTokens,
) -> Result<Kept, Refusal> {
    let tokens = new.over(spent);
    let known = read.document.tokens().map(|tokens| tokens.refresh_token);
    let mut problem = "its store changes all the time".to_owned();
    for _ in 0..MOST_CONFLICTS {
        let now = date::rfc3339(outside.now_ms());
        let document = read.document.refreshed(&NewTokens::from(&tokens), &now);
        match outside.update(STORE, read.generation, &document.to_bytes()) {
            Ok(_) => {
                return Ok(Kept {
                    tokens,
                    unsaved_for: None,
                });
            }
            Err(Error::Retryable { .. }) => {}
            Err(error) => {
                problem = error.to_string();
                break;
            }
        }
        // Somebody who does not take the lock was faster.
        let now =
            stored(outside, settings).map_err(|error| Refusal::Permanent(error.to_string()))?;
        let Some(now) = now else {
            return Err(Refusal::Permanent(signed_out()));
        };
        let theirs = same_account(&now, spent)?;
        if Some(&theirs.refresh_token) != known.as_ref() {
            return Ok(Kept {
                tokens: theirs,
                unsaved_for: None,
            });
        }
        read = now;
    }
    log::error(format!(
        "the refreshed login holds for this session alone, it could not be stored: {problem}"
    ));
    Ok(Kept {
        tokens,
        unsaved_for: known,
    })
}

/// The tokens of a login that are refreshed here.
pub(crate) fn managed(login: &Login) -> Option<&Tokens> {
    match login {
        Login::Tokens {
            mode: crate::mode::Mode::Chatgpt,
            tokens,
            ..
        } => Some(tokens),
        Login::Tokens { .. }
        | Login::KeySlot(_)
        | Login::Key(_)
        | Login::Personal(_)
        | Login::Agent(_)
        | Login::Bedrock(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::document::Document;
    use crate::fake::{self, Fake, access_token, chatgpt};

    fn tokens(document: &Value) -> Tokens {
        let document =
            Document::parse(document.to_string().as_bytes(), "auth.json").expect("a document");
        document.tokens().expect("tokens")
    }

    fn refresh(fake: &Fake, held: &Value, reason: Reason) -> Result<String, Refusal> {
        let tokens =
            Refresher::default().refresh(fake, &Settings::default(), &tokens(held), reason);
        tokens.map(|tokens| tokens.access_token)
    }

    #[test]
    fn a_token_is_due_five_minutes_before_it_ends_or_eight_days_after_it_came() {
        let due = |access: &str, last: Option<&str>| {
            let tokens = tokens(&chatgpt(access, "r", "acct"));
            Refresher::default().is_due(&tokens, last, fake::NOW * 1000)
        };
        assert!(due(&access_token("a", 300), None) && !due(&access_token("a", 301), None));
        assert!(due(&access_token("a", -60), None));
        // What the token itself says wins.
        assert!(!due(&access_token("a", 3600), Some("2020-01-01T00:00:00Z")));
        assert!(
            due("opaque", Some("2025-12-25T03:04:05Z"))
                && !due("opaque", Some("2025-12-25T03:04:06Z"))
        );
        assert!(!due("opaque", None) && !due("opaque", Some("yesterday")));
    }

    #[test]
    fn a_refresh_is_asked_for_and_stored() {
        let before = chatgpt(&access_token("a", 60), "r-1", "acct");
        let after = access_token("b", 3600);
        let fake = Fake::with_store(&before).answering(
            200,
            json!({ "access_token": after, "refresh_token": "r-2" }),
        );
        assert_eq!(
            refresh(&fake, &before, Reason::Proactive),
            Ok(after.clone())
        );
        assert_eq!(
            fake.bodies(),
            [json!({
                "client_id": "app_EMoamEEZ73f0CkXaXp7hrann", "grant_type": "refresh_token",
                "refresh_token": "r-1", "refresh_reason": "proactive_expiry",
            })]
        );
        let stored = fake.stored().expect("it is there");
        assert_eq!(
            (
                &stored["tokens"]["access_token"],
                &stored["tokens"]["refresh_token"]
            ),
            (&json!(after), &json!("r-2"))
        );
        assert_eq!(stored["tokens"]["id_token"], before["tokens"]["id_token"]);
        assert_eq!(stored["last_refresh"], "2026-01-02T03:04:05.000Z");
    }

    #[test]
    fn what_somebody_else_refreshed_is_used_without_asking() {
        let before = chatgpt(&access_token("a", 60), "r-1", "acct");
        let theirs = access_token("b", 3600);
        for reason in [Reason::Proactive, Reason::Unauthorized] {
            let fake = Fake::with_store(&before);
            fake.meanwhile
                .replace(Some(chatgpt(&theirs, "r-2", "acct")));
            assert_eq!(refresh(&fake, &before, reason), Ok(theirs.clone()));
            assert!(fake.asked.borrow().is_empty());
        }
    }

    #[test]
    fn another_account_and_no_account_end_the_login_for_good() {
        let before = chatgpt(&access_token("a", 60), "r-1", "acct");
        let fake = Fake::with_store(&chatgpt("x", "y", "other"));
        let words = |fake: &Fake| match refresh(fake, &before, Reason::Unauthorized) {
            Err(Refusal::Permanent(words)) => words,
            other => format!("{other:?}"),
        };
        let other = words(&fake);
        assert!(
            other.starts_with("somebody has signed in to another account"),
            "{other}"
        );
        let gone = words(&Fake::default());
        assert!(gone.starts_with("the login is gone"), "{gone}");
    }

    #[test]
    fn a_refusal_for_good_is_not_asked_for_again() {
        let before = chatgpt(&access_token("a", 60), "r-1", "acct");
        let fake = Fake::with_store(&before)
            .answering(401, json!({ "error": { "code": "refresh_token_expired" } }));
        let mut refresher = Refresher::default();
        let mut ask = || {
            refresher.refresh(
                &fake,
                &Settings::default(),
                &tokens(&before),
                Reason::Unauthorized,
            )
        };
        let (first, second) = (ask(), ask());
        assert!(matches!(first, Err(Refusal::Permanent(_))));
        assert_eq!((first, fake.asked.borrow().len()), (second, 1));
    }

    #[test]
    fn a_failure_that_may_pass_is_asked_for_again() {
        let before = chatgpt(&access_token("a", 60), "r-1", "acct");
        let fake = Fake::with_store(&before)
            .answering(503, json!({}))
            .answering(200, json!("no object"))
            .answering(200, json!({ "access_token": "a\nb" }));
        for _ in 0..3 {
            let refused = refresh(&fake, &before, Reason::Unauthorized);
            assert!(matches!(refused, Err(Refusal::Transient(_))), "{refused:?}");
        }
        assert_eq!(fake.stored(), Some(before));
    }

    #[test]
    fn what_can_be_used_of_an_answer_is_kept() {
        let before = chatgpt(&access_token("a", 60), "r-1", "acct");
        let after = access_token("b", 3600);
        let stored = |answer: Value, reason| {
            let fake = Fake::with_store(&before).answering(200, answer);
            let refreshed = refresh(&fake, &before, reason);
            let stored = fake.stored().expect("it is there")["tokens"].clone();
            (refreshed, stored)
        };
        let answer = json!({ "access_token": after, "refresh_token": "r-2", "id_token": "" });
        let (refreshed, tokens) = stored(answer, Reason::Unauthorized);
        assert_eq!(refreshed, Ok(after.clone()));
        assert_eq!(tokens["refresh_token"], "r-2");
        assert_eq!(tokens["id_token"], before["tokens"]["id_token"]);
        // The refresh token that was sent is spent, so the new one must not be lost.
        for access in [Value::Null, json!("a\nb")] {
            let answer = json!({ "access_token": access, "refresh_token": "r-2" });
            let (refreshed, tokens) = stored(answer, Reason::Unauthorized);
            assert!(
                matches!(refreshed, Err(Refusal::Transient(_))),
                "{refreshed:?}"
            );
            assert_eq!(tokens["refresh_token"], "r-2");
            assert_eq!(tokens["access_token"], before["tokens"]["access_token"]);
        }
    }

    #[test]
    fn tokens_of_another_account_are_not_taken() {
        let before = chatgpt(&access_token("a", 60), "r-1", "acct");
        let other = chatgpt("x", "y", "other")["tokens"]["id_token"].clone();
        let answer = json!({ "access_token": access_token("b", 3600), "refresh_token": "r-2", "id_token": other });
        let fake = Fake::with_store(&before).answering(200, answer);
        let refused = refresh(&fake, &before, Reason::Unauthorized);
        assert!(
            matches!(&refused, Err(Refusal::Permanent(words)) if words.starts_with("the authority gave tokens of another account")),
            "{refused:?}"
        );
        assert_eq!(fake.stored(), Some(before));
    }

    #[test]
    fn a_refresh_that_failed_for_now_is_put_off() {
        let before = chatgpt(&access_token("a", 60), "r-1", "acct");
        let mut fake = Fake::with_store(&before).answering(503, json!({}));
        let mut refresher = Refresher::default();
        let held = tokens(&before);
        let is_due =
            |refresher: &Refresher, fake: &Fake| refresher.is_due(&held, None, fake.now_ms());
        assert!(is_due(&refresher, &fake));
        let refused = refresher.refresh(&fake, &Settings::default(), &held, Reason::Proactive);
        assert!(matches!(refused, Err(Refusal::Transient(_))), "{refused:?}");
        assert!(!is_due(&refresher, &fake));
        fake.skew = 60;
        assert!(is_due(&refresher, &fake));
    }

    #[test]
    fn what_changed_in_the_store_meanwhile_stays() {
        let before = chatgpt(&access_token("a", 60), "r-1", "acct");
        let after = access_token("b", 3600);
        let answer = json!({ "access_token": after, "refresh_token": "r-2" });
        let mut changed = before.clone();
        changed["noted"] = json!("by another program");
        let fake = Fake::with_store(&before).answering(200, answer.clone());
        fake.while_asked.replace(Some(changed));
        assert_eq!(refresh(&fake, &before, Reason::Proactive), Ok(after));
        let stored = fake.stored().expect("it is there");
        assert_eq!(
            (&stored["noted"], &stored["tokens"]["refresh_token"]),
            (&json!("by another program"), &json!("r-2"))
        );
        // A new login that came meanwhile wins.
        let fake = Fake::with_store(&before).answering(200, answer);
        fake.while_asked
            .replace(Some(chatgpt("theirs", "r-9", "acct")));
        assert_eq!(
            refresh(&fake, &before, Reason::Proactive).as_deref(),
            Ok("theirs")
        );
        assert_eq!(fake.stored(), Some(chatgpt("theirs", "r-9", "acct")));
    }

    #[test]
    fn tokens_that_could_not_be_stored_are_used_all_the_same() {
        let before = chatgpt(&access_token("a", 60), "r-1", "acct");
        let (second, third) = (access_token("b", 120), access_token("c", 3600));
        let mut fake = Fake::with_store(&before)
            .answering(
                200,
                json!({ "access_token": second, "refresh_token": "r-2" }),
            )
            .answering(
                200,
                json!({ "access_token": third, "refresh_token": "r-3" }),
            );
        fake.is_read_only = true;
        let mut refresher = Refresher::default();
        let held = tokens(&before);
        refresher
            .refresh(&fake, &Settings::default(), &held, Reason::Proactive)
            .expect("refreshed");
        assert_eq!(refresher.newer(held).refresh_token, "r-2");
        fake.is_read_only = false;
        let held = refresher.newer(tokens(&before));
        refresher
            .refresh(&fake, &Settings::default(), &held, Reason::Unauthorized)
            .expect("refreshed");
        assert_eq!(fake.bodies()[1]["refresh_token"], "r-2");
        assert_eq!(
            fake.stored().expect("it is there")["tokens"]["refresh_token"],
            "r-3"
        );
    }

    #[test]
    fn a_clock_that_is_ahead_does_not_refresh_for_ever() {
        let before = chatgpt(&access_token("a", 600), "r-1", "acct");
        let after = access_token("b", 600);
        let mut fake = Fake::with_store(&before).answering(200, json!({ "access_token": after }));
        fake.skew = 600;
        let mut refresher = Refresher::default();
        let held = tokens(&before);
        assert!(refresher.is_due(&held, None, fake.now_ms()));
        let new = refresher
            .refresh(&fake, &Settings::default(), &held, Reason::Proactive)
            .expect("refreshed");
        assert!(!refresher.is_due(&new, None, fake.now_ms()));
        assert_eq!(refresher.good_until_ms(&new), None);
    }
}
