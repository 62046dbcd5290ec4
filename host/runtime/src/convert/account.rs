//! Logins, between the generated types and the host's own.

use std::time::{Duration, UNIX_EPOCH};

use dovetail_core::plugin::{
    Beginning, Challenge, CredentialExplained, KnownLogin, LookedAt, Purpose, Scope, Way,
};
use dovetail_core::secret::SecretText;

use super::reason;
use crate::bindings::exports::dovetail::plugin::account;

pub(crate) fn way(from: &Way) -> account::Way {
    match from {
        Way::Browser { redirect_uri } => account::Way::Browser(redirect_uri.clone()),
        Way::Device => account::Way::Device,
        Way::ApiKey(key) => account::Way::ApiKey(key.expose().to_owned()),
        Way::AccessToken(token) => account::Way::AccessToken(token.expose().to_owned()),
    }
}

pub(crate) fn beginning(from: account::Beginning) -> Beginning {
    match from {
        account::Beginning::Done(words) => Beginning::Done(reason(&words)),
        account::Beginning::Challenged(challenge) => Beginning::Challenged(Challenge {
            // Too long for a sentence; a page's address has no use for control characters either.
            url: challenge.url.chars().filter(|c| !c.is_control()).collect(),
            user_code: challenge.user_code.map(|code| reason(&code)),
            interval: Duration::from_millis(challenge.interval_ms.into()),
            expires_in: Duration::from_millis(challenge.expires_in_ms),
            state: SecretText::new(challenge.state),
        }),
    }
}

pub(crate) fn known_login(from: account::Login) -> KnownLogin {
    let text = |text: Option<String>| text.map(|text| reason(&text));
    KnownLogin {
        mode: reason(&from.mode),
        title: reason(&from.title),
        source: reason(&from.source),
        email: text(from.email),
        account: text(from.account),
        plan: text(from.plan),
        expires_at: from
            .expires_at_unix_ms
            .and_then(|ms| UNIX_EPOCH.checked_add(Duration::from_millis(ms))),
    }
}

pub(crate) fn question(scope: &Scope) -> account::Question {
    let purpose = match scope.purpose {
        Purpose::Turn => "turn",
        Purpose::Compact => "compact",
        Purpose::Models => "models",
        Purpose::ControlPlane => "control-plane",
    };
    account::Question {
        provider_id: scope.provider_id.clone(),
        purpose: purpose.to_owned(),
        session_source: scope.session_source.clone(),
        policy: scope.policy.clone(),
    }
}

pub(crate) fn explanation(from: account::Explanation) -> CredentialExplained {
    let looked = |source: account::Source| LookedAt {
        name: reason(&source.name),
        finding: reason(&source.finding),
        used: source.used,
    };
    CredentialExplained {
        sources: from.sources.into_iter().map(looked).collect(),
        headers: from.headers.iter().map(|header| reason(header)).collect(),
        destination: reason(&from.destination),
        problem: from.problem.map(|problem| reason(&problem)),
    }
}
