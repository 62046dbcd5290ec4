//! What a script says of upgrades to WebSocket.

use serde::Deserialize;
use toml::Spanned;

use super::action::{parse_headers, status_code};
use super::value::text_or_json;
use super::{ScriptError, line_of, parse_actions};
use crate::script::Upgrade;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUpgrade {
    status: Option<u16>,
    body: Option<toml::Value>,
    headers: Option<toml::Value>,
    hang: Option<bool>,
    #[serde(default)]
    warm_up: Vec<Spanned<toml::Value>>,
}

pub(super) fn parse_upgrade(text: &str, raw: Spanned<RawUpgrade>) -> Result<Upgrade, ScriptError> {
    let line = line_of(text, raw.span().start);
    let raw = raw.into_inner();
    let invalid = |what: String| ScriptError::Invalid { line, what };
    let headers = raw.headers.map_or(Ok(Vec::new()), parse_headers);
    let headers = headers.map_err(invalid)?;
    let body = raw.body.map_or_else(String::new, text_or_json);
    let upgrade = match (raw.status, raw.hang.unwrap_or(false)) {
        (Some(_), true) => Err("`status` and `hang` exclude each other".to_owned()),
        (Some(status), false) => status_code(status).map(|status| Upgrade::Refuse {
            status,
            headers,
            body,
        }),
        (None, true) => Ok(Upgrade::Hang),
        (None, false) => {
            return Ok(Upgrade::Accept {
                headers,
                warm_up: Upgrade::warm_up(line, parse_actions(text, raw.warm_up)?),
            });
        }
    };
    match upgrade {
        Ok(_) if !raw.warm_up.is_empty() => Err(invalid(
            "`warm_up` is for an upgrade that is granted".to_owned(),
        )),
        upgrade => upgrade.map_err(invalid),
    }
}
