//! What a token says of itself. Nothing is verified here: whoever gets the token does that, and nothing that is decided
//! by these words is more than where to look and what to show.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// The claim under which the authority puts what concerns accounts.
const AUTH: &str = "https://api.openai.com/auth";
/// The claim under which it puts what concerns persons.
const PROFILE: &str = "https://api.openai.com/profile";

/// What a token says. What cannot be read is as good as not said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) email: Option<String>,
    pub(crate) plan: Option<String>,
    pub(crate) user_id: Option<String>,
    pub(crate) account_id: Option<String>,
    pub(crate) is_fedramp: bool,
    /// Seconds since 1970.
    pub(crate) expires_at: Option<u64>,
    /// Seconds since 1970.
    pub(crate) issued_at: Option<u64>,
}

impl Claims {
    /// Reads the middle part of a JWT.
    pub(crate) fn of(token: &str) -> Self {
        let Some(claims) = payload(token) else {
            return Self::default();
        };
        let auth = &claims[AUTH];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Self {
            email: text(&claims["email"]).or_else(|| text(&claims[PROFILE]["email"])),
            plan: text(&auth["chatgpt_plan_type"]),
            user_id: text(&auth["chatgpt_user_id"]).or_else(|| text(&auth["user_id"])),
            account_id: text(&auth["chatgpt_account_id"]),
            is_fedramp: auth["chatgpt_account_is_fedramp"]
                .as_bool()
                .unwrap_or(false),
            expires_at: seconds(&claims["exp"]),
            issued_at: seconds(&claims["iat"]),
        }
    }
}

/// The claims of a JWT; none where it is none.
pub(crate) fn payload(token: &str) -> Option<Value> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let claims: Value = serde_json::from_slice(&bytes).ok()?;
    claims.is_object().then_some(claims)
}

/// Seconds may come with a fraction.
fn seconds(value: &Value) -> Option<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a time before 1970 or after the sun is gone is as good as the end of the range"
    )]
    let whole = |seconds: f64| seconds as u64;
    value.as_u64().or_else(|| value.as_f64().map(whole))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_are_found_where_the_authority_puts_them() {
        let token = crate::fake::jwt(&json!({
            "email": "ada@example.org", "exp": 1_800_000_000_u64, "iat": 1_799_000_000.5,
            AUTH: { "chatgpt_plan_type": "pro", "chatgpt_user_id": "u", "chatgpt_account_id": "a", "chatgpt_account_is_fedramp": true },
        }));
        let expected = Claims {
            email: Some("ada@example.org".to_owned()),
            plan: Some("pro".to_owned()),
            user_id: Some("u".to_owned()),
            account_id: Some("a".to_owned()),
            is_fedramp: true,
            expires_at: Some(1_800_000_000),
            issued_at: Some(1_799_000_000),
        };
        assert_eq!(Claims::of(&token), expected);
        let token = crate::fake::jwt(&json!({ PROFILE: { "email": "eve@example.org" } }));
        assert_eq!(Claims::of(&token).email.as_deref(), Some("eve@example.org"));
    }

    #[test]
    fn what_is_no_token_says_nothing() {
        for token in ["", "a.b", "a.!.c", "a.W10.c", "a.e30.c.d", "at-123"] {
            assert_eq!(Claims::of(token), Claims::default(), "{token}");
        }
    }
}
