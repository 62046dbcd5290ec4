//! What a command may print: a token, or a JSON object with a token and what belongs to it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dovetail_plugin_api::{Header, date, is_field_name, is_field_value, is_framing_name, is_token};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Times beyond this are milliseconds: in seconds they would be in the year 5138.
const MOST_SECONDS: f64 = 1e11;

/// Some shells put it before everything that they print.
const BYTE_ORDER_MARK: char = '\u{feff}';
/// Headers have no room for more, and services accept far less.
const MOST_BYTES: usize = 64 << 10;

/// A credential. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Token {
    text: String,
    /// Headers beside the token's own.
    headers: Vec<(String, String)>,
    /// When it ends, as it says itself, in milliseconds since 1970.
    pub(crate) expires_at_ms: Option<u64>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// The headers of a request that carries it.
    pub(crate) fn headers(&self) -> Vec<Header> {
        let further = self.headers.iter();
        let further = further.map(|(name, value)| Header::plain(name, value).sensitive());
        std::iter::once(Header::bearer(self.text.as_str()).sensitive())
            .chain(further)
            .collect()
    }

    /// Reads what was printed, without the blanks around it. The words say what is wrong, never what was printed.
    pub(crate) fn read(printed: &[u8]) -> Result<Self, String> {
        if printed.len() > MOST_BYTES {
            return Err(format!(
                "printed more than {} KiB, which is no token",
                MOST_BYTES >> 10
            ));
        }
        let text = std::str::from_utf8(printed)
            .map_err(|_| "printed a token that is not UTF-8".to_owned())?;
        let text = text.trim_start_matches(BYTE_ORDER_MARK).trim();
        if text.is_empty() {
            return Err("printed no token".to_owned());
        }
        if text.starts_with('{') {
            return Self::of_json(text);
        }
        if !is_token(text) {
            return Err("printed more than one word, or characters that no token has".to_owned());
        }
        Ok(Self {
            text: text.to_owned(),
            headers: Vec::new(),
            expires_at_ms: end_of_jwt(text),
        })
    }

    fn of_json(text: &str) -> Result<Self, String> {
        // The parser's own words would quote what was printed.
        let document: Value = serde_json::from_str(text)
            .map_err(|error| format!("printed JSON that is damaged in line {}", error.line()))?;
        let token = document["token"].as_str().map(str::trim);
        let token = token.filter(|token| is_token(token));
        let token = token.ok_or("printed JSON without a usable `token`")?;
        let expires_at_ms = match &document["expires_at"] {
            Value::Null => end_of_jwt(token),
            value => Some(time(value).ok_or(
                "printed JSON whose `expires_at` is neither an RFC 3339 time nor seconds since 1970",
            )?),
        };
        Ok(Self {
            text: token.to_owned(),
            headers: headers(&document["headers"])?,
            expires_at_ms,
        })
    }
}

fn headers(value: &Value) -> Result<Vec<(String, String)>, String> {
    let fields = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Object(fields) => fields,
        _ => return Err("printed JSON whose `headers` is no object".to_owned()),
    };
    let usable = |(name, value): (&String, &Value)| {
        let value = value.as_str().filter(|value| is_field_value(value))?;
        // Where a request goes and where it ends is not for a token to say.
        let is_own = is_framing_name(name) || name.eq_ignore_ascii_case("host");
        (is_field_name(name) && !is_own).then(|| (name.clone(), value.to_owned()))
    };
    fields
        .iter()
        .map(|field| {
            usable(field).ok_or_else(|| {
                format!(
                    "printed JSON whose header `{}` cannot be sent",
                    field.0.escape_debug()
                )
            })
        })
        .collect()
}

/// An RFC 3339 time of any zone, or seconds since 1970, in milliseconds.
fn time(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => zoned(text.trim()),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is checked to be in range"
        )]
        Value::Number(number) => {
            let number = number.as_f64().filter(|number| *number > 0.0)?;
            let ms = if number < MOST_SECONDS {
                number * 1000.0
            } else {
                number
            };
            (ms < 1e16).then_some(ms as u64)
        }
        _ => None,
    }
}

fn zoned(text: &str) -> Option<u64> {
    if let Some(ms) = date::parse_rfc3339(text) {
        return Some(ms);
    }
    let at = text.len().checked_sub("+00:00".len())?;
    let (local, zone) = (text.get(..at)?, text.get(at..)?);
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let (hours, minutes): (u64, u64) = (hours.parse().ok()?, minutes.parse().ok()?);
    let offset = (hours * 60 + minutes) * 60_000;
    let local = date::parse_rfc3339(&format!("{local}Z"))?;
    match zone.get(..1)? {
        "+" => local.checked_sub(offset),
        "-" => Some(local + offset),
        _ => None,
    }
}

/// When a JWT ends. It is not verified: whoever gets it does that.
fn end_of_jwt(token: &str) -> Option<u64> {
    let [_, payload, _] = token.split('.').collect::<Vec<_>>()[..] else {
        return None;
    };
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    time(&claims["exp"])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(printed: &str) -> Result<Token, String> {
        Token::read(printed.as_bytes())
    }

    fn jwt(claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.c2ln", part(&json!({ "alg": "none" })), part(claims))
    }

    #[test]
    fn a_token_is_what_was_printed_without_the_blanks_around_it() {
        let token = read("\n tok-1 \r\n").expect("a token");
        assert_eq!(token.headers(), [Header::bearer("tok-1").sensitive()]);
        assert_eq!(token.expires_at_ms, None);
        assert_eq!(format!("{token:?}"), "Token(…)");
    }

    #[test]
    fn json_adds_an_end_and_headers() {
        let printed = json!({
            "token": " tok-1 ", "expires_at": "2026-01-02T03:04:05Z",
            "headers": { "X-Tenant": "acme" }, "note": "ignored",
        });
        let token = read(&printed.to_string()).expect("a token");
        assert_eq!(
            token.headers(),
            [
                Header::bearer("tok-1").sensitive(),
                Header::plain("X-Tenant", "acme").sensitive()
            ]
        );
        assert_eq!(token.expires_at_ms, Some(1_767_323_045_000));
    }

    #[test]
    fn an_end_is_a_time_of_any_zone_or_a_number() {
        for end in [
            json!("2026-01-02T03:04:05Z"),
            json!("2026-01-02T03:04:05+00:00"),
            json!("2026-01-02T05:34:05.000+02:30"),
            json!("2026-01-01T22:04:05-05:00"),
            json!(1_767_323_045),
            json!(1_767_323_045.0),
            json!(1_767_323_045_000_u64),
        ] {
            let token = read(&json!({ "token": "t", "expires_at": end }).to_string());
            let token = token.expect("a token");
            assert_eq!(token.expires_at_ms, Some(1_767_323_045_000), "{end}");
        }
    }

    #[test]
    fn a_jwt_says_itself_when_it_ends() {
        let jwt = jwt(&json!({ "exp": 1_767_323_045 }));
        for printed in [jwt.clone(), json!({ "token": jwt }).to_string()] {
            let token = read(&printed).expect("a token");
            assert_eq!(token.expires_at_ms, Some(1_767_323_045_000));
        }
        for other in ["a.b.c", "a.b", "a.e30.c"] {
            assert_eq!(read(other).expect("a token").expires_at_ms, None, "{other}");
        }
    }

    #[test]
    fn what_is_no_credential_is_refused_without_showing_it() {
        for (printed, expected) in [
            ("", "printed no token"),
            (" \n", "printed no token"),
            (
                "tok\nX-Evil: 1",
                "printed more than one word, or characters that no token has",
            ),
            (
                "not signed in",
                "printed more than one word, or characters that no token has",
            ),
            (
                r#"{"token": "tok", "headers": {"Content-Length": "3"}}"#,
                "printed JSON whose header `Content-Length` cannot be sent",
            ),
            (
                r#"{"token": "tok", "headers": {"host": "other.example"}}"#,
                "printed JSON whose header `host` cannot be sent",
            ),
            (
                "{\"token\": \"tok\n",
                "printed JSON that is damaged in line 1",
            ),
            ("{}", "printed JSON without a usable `token`"),
            (
                r#"{"token": "a\r\nb"}"#,
                "printed JSON without a usable `token`",
            ),
            (r#"{"token": ""}"#, "printed JSON without a usable `token`"),
            (
                r#"{"token": "tok", "expires_at": "tomorrow"}"#,
                "printed JSON whose `expires_at` is neither an RFC 3339 time nor seconds since 1970",
            ),
            (
                r#"{"token": "tok", "headers": ["a"]}"#,
                "printed JSON whose `headers` is no object",
            ),
            (
                r#"{"token": "tok", "headers": {"X-A": "b\nc"}}"#,
                "printed JSON whose header `X-A` cannot be sent",
            ),
            (
                r#"{"token": "tok", "headers": {"X A": "b"}}"#,
                "printed JSON whose header `X A` cannot be sent",
            ),
        ] {
            assert_eq!(read(printed), Err(expected.to_owned()), "{printed:?}");
        }
        assert_eq!(
            Token::read(&vec![b'a'; MOST_BYTES + 1]),
            Err("printed more than 64 KiB, which is no token".to_owned())
        );
        assert_eq!(
            Token::read(b"\xff\xfe"),
            Err("printed a token that is not UTF-8".to_owned())
        );
    }
}
