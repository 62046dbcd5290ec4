//! A pair of access keys, with the token that temporary ones need.

use std::fmt;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde::Deserialize;

use crate::trouble::Trouble;

/// Credentials that end sooner than this are not used any more: a request takes time to arrive, and so does getting new
/// ones. More than the host's own margin, so that what it asks for again is really renewed.
const MARGIN_MS: u64 = 60_000;

/// AWS credentials. `Debug` shows the key's id, which is no secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) session_token: Option<String>,
    pub(crate) expires_at_unix_ms: Option<u64>,
}

impl Credentials {
    /// From what was found at one place; none where there is no key id, an error where there is only a half.
    pub(crate) fn of_parts(
        place: &str,
        access_key_id: Option<String>,
        secret_access_key: Option<String>,
        session_token: Option<String>,
    ) -> Result<Option<Self>, Trouble> {
        match (filled(access_key_id), filled(secret_access_key)) {
            (None, None) => Ok(None),
            (Some(access_key_id), Some(secret_access_key)) => Ok(Some(Self {
                access_key_id,
                secret_access_key,
                session_token: filled(session_token),
                expires_at_unix_ms: None,
            })),
            (Some(_), None) => Err(Trouble::lasting(format!(
                "{place} has an access key id and no secret access key"
            ))),
            (None, Some(_)) => Err(Trouble::lasting(format!(
                "{place} has a secret access key and no access key id"
            ))),
        }
    }

    /// Whether they can still be used for a while.
    pub(crate) fn are_good(&self, now_unix_ms: u64) -> bool {
        self.expires_at_unix_ms
            .is_none_or(|end| end > now_unix_ms.saturating_add(MARGIN_MS))
    }

    /// Whether they have ended.
    pub(crate) fn are_over(&self, now_unix_ms: u64) -> bool {
        self.expires_at_unix_ms
            .is_some_and(|end| end <= now_unix_ms)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .field("session_token", &self.session_token.is_some())
            .field("expires_at_unix_ms", &self.expires_at_unix_ms)
            .finish_non_exhaustive()
    }
}

fn filled(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
}

/// The form in which programs print credentials.
const FIRST_VERSION: u64 = 1;

/// Credentials as AWS's programs and metadata services write them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Document {
    /// Of programs: the form in which they print. There is only the first.
    version: Option<serde_json::Value>,
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    /// Of programs.
    session_token: Option<String>,
    /// Of metadata services.
    token: Option<String>,
    expiration: Option<String>,
    /// Of metadata services: `Success`, or why not.
    code: Option<String>,
    /// The same as of `aws sts assume-role`, where it is all in one field.
    credentials: Option<Box<Document>>,
}

impl Document {
    /// Reads what `place` gave. Errors never repeat it.
    pub(crate) fn read(place: &str, bytes: &[u8]) -> Result<Credentials, Trouble> {
        let document: Self = serde_json::from_slice(bytes).map_err(|error| {
            Trouble::lasting(format!(
                "{place} gave no credentials: what it gave is not the expected JSON (line {}, column {})",
                error.line(),
                error.column()
            ))
        })?;
        document.credentials(place)
    }

    fn credentials(self, place: &str) -> Result<Credentials, Trouble> {
        if let Some(inner) = self.credentials {
            return inner.credentials(place);
        }
        if let Some(version) = self.version.filter(|version| *version != FIRST_VERSION) {
            return Err(Trouble::lasting(format!(
                "{place} gave credentials in a form that is not known: `Version` is {version} and not {FIRST_VERSION}"
            )));
        }
        if let Some(code) = self.code.filter(|code| code != "Success") {
            return Err(Trouble::lasting(format!(
                "{place} gave no credentials: {code}"
            )));
        }
        let found = Credentials::of_parts(
            place,
            self.access_key_id,
            self.secret_access_key,
            self.session_token.or(self.token),
        )?;
        let found = found.ok_or_else(|| {
            Trouble::lasting(format!(
                "{place} gave no credentials: `AccessKeyId` is missing"
            ))
        })?;
        let expires_at_unix_ms = self
            .expiration
            .as_deref()
            .map(|text| instant(place, text))
            .transpose()?;
        Ok(Credentials {
            expires_at_unix_ms,
            ..found
        })
    }
}

/// A date and time with its offset, in milliseconds since 1970.
pub(crate) fn instant(place: &str, text: &str) -> Result<u64, Trouble> {
    // Older versions of AWS's own tools write the zone's name.
    let text = text.trim();
    let zoned = text.strip_suffix("UTC").map(|time| format!("{time}Z"));
    let parsed = DateTime::from_str(zoned.as_deref().unwrap_or(text), Format::DateTimeWithOffset)
        .ok()
        .and_then(|time| u64::try_from(time.to_millis().ok()?).ok());
    parsed.ok_or_else(|| {
        Trouble::lasting(format!(
            "{place} says when its credentials end in a form that is no date: `{}`",
            text.escape_debug()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Credentials, String> {
        Document::read("the helper", text.as_bytes()).map_err(|trouble| trouble.error.to_string())
    }

    fn keys(token: Option<&str>, expires_at_unix_ms: Option<u64>) -> Credentials {
        Credentials {
            access_key_id: "AK".to_owned(),
            secret_access_key: "s".to_owned(),
            session_token: token.map(str::to_owned),
            expires_at_unix_ms,
        }
    }

    #[test]
    fn every_form_that_aws_writes_is_read() {
        let cases = [
            (
                r#"{"AccessKeyId":"AK","SecretAccessKey":"s"}"#,
                keys(None, None),
            ),
            (
                r#"{"Version":1,"AccessKeyId":" AK ","SecretAccessKey":"s","SessionToken":"t","Expiration":"2026-11-21T01:27:20Z"}"#,
                keys(Some("t"), Some(1_795_224_440_000)),
            ),
            (
                r#"{"Code":"Success","AccessKeyId":"AK","SecretAccessKey":"s","Token":"t","Expiration":"2026-11-21T02:27:20.5+01:00"}"#,
                keys(Some("t"), Some(1_795_224_440_500)),
            ),
            (
                r#"{"AccessKeyId":"AK","SecretAccessKey":"s","Expiration":"2026-11-21T01:27:20UTC"}"#,
                keys(None, Some(1_795_224_440_000)),
            ),
            (
                r#"{"Credentials":{"AccessKeyId":"AK","SecretAccessKey":"s","SessionToken":""},"AssumedRoleUser":{}}"#,
                keys(None, None),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_credential_is_said_without_repeating_it() {
        let cases = [
            (
                "secret",
                "the helper gave no credentials: what it gave is not the expected JSON (line 1, column 1)",
            ),
            (
                "{}",
                "the helper gave no credentials: `AccessKeyId` is missing",
            ),
            (
                r#"{"Code":"AssumeRoleUnauthorizedAccess"}"#,
                "the helper gave no credentials: AssumeRoleUnauthorizedAccess",
            ),
            (
                r#"{"AccessKeyId":"AK"}"#,
                "the helper has an access key id and no secret access key",
            ),
            (
                r#"{"SecretAccessKey":"AK"}"#,
                "the helper has a secret access key and no access key id",
            ),
            (
                r#"{"Version":2,"AccessKeyId":"AK","SecretAccessKey":"s"}"#,
                "the helper gave credentials in a form that is not known: `Version` is 2 and not 1",
            ),
            (
                r#"{"AccessKeyId":"AK","SecretAccessKey":"s","Expiration":"soon"}"#,
                "the helper says when its credentials end in a form that is no date: `soon`",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn credentials_are_renewed_before_they_end() {
        let short = keys(None, Some(100_000));
        assert!(short.are_good(39_999) && !short.are_good(40_000));
        assert!(short.are_over(100_000) && !short.are_over(99_999));
        assert!(keys(None, None).are_good(u64::MAX));
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = format!(
            "{:?}",
            Credentials {
                secret_access_key: "hush".to_owned(),
                ..keys(Some("hush"), None)
            }
        );
        assert!(shown.contains("AK") && !shown.contains("hush"), "{shown}");
    }
}
