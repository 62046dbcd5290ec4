//! `auth.json`: what is kept of a login. Whatever this version does not know stays as it is.

use std::fmt;

use dovetail_plugin_api::{Error, is_token};
use serde_json::{Map, Value, json};

use crate::claims::Claims;
use crate::mode::Mode;

/// The keys that a login consists of, in the order in which they are written.
pub(crate) const KEYS: [&str; 8] = [
    "auth_mode",
    "OPENAI_API_KEY",
    "tokens",
    "last_refresh",
    "agent_identity",
    "personal_access_token",
    "bedrock_api_key",
    "bedrock_access_keys",
];

/// The document.
#[derive(Clone, PartialEq)]
pub(crate) struct Document(Map<String, Value>);

/// The tokens of an account.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Tokens {
    pub(crate) id_token: String,
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
    /// The chosen account; where the store has none, the one that the id token names.
    pub(crate) account_id: Option<String>,
}

/// What an authority answered.
#[derive(Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default)]
pub(crate) struct NewTokens {
    pub(crate) id_token: Option<String>,
    pub(crate) access_token: Option<String>,
    pub(crate) refresh_token: Option<String>,
}

impl Document {
    /// Reads the document; `place` is named in errors. The parser's own words are left out, since they quote values.
    pub(crate) fn parse(bytes: &[u8], place: &str) -> Result<Self, Error> {
        let damaged = |where_: String| {
            Error::Other(format!(
                "`{place}` is damaged ({where_}) and is left as it is: mend it, or move it away and sign in again with `dovetail login`"
            ))
        };
        let value: Value = serde_json::from_slice(bytes).map_err(|error| {
            damaged(format!("line {}, column {}", error.line(), error.column()))
        })?;
        match value {
            Value::Object(fields) => {
                let document = Self(fields);
                document.check().map_err(damaged)?;
                Ok(document)
            }
            _ => Err(damaged("it is no object".to_owned())),
        }
    }

    /// The document as it is written.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // A map of JSON values is always JSON.
        serde_json::to_vec_pretty(&self.0).unwrap_or_default()
    }

    /// How somebody signed in: the document's own word, else what its keys say.
    pub(crate) fn mode(&self) -> Result<Mode, Error> {
        if let Some(name) = self.text("auth_mode") {
            return match Mode::parse(name) {
                Some(Mode::Headers) => Err(Error::other(
                    "the stored login is of the kind `headers`, which is never stored",
                )),
                Some(mode) => Ok(mode),
                None => Err(Error::Other(format!(
                    "the stored login is of a kind that is not known: `{}`",
                    name.escape_debug()
                ))),
            };
        }
        Ok(if self.has("personal_access_token") {
            Mode::PersonalAccessToken
        } else if self.has("bedrock_api_key") {
            Mode::BedrockApiKey
        } else if self.has("OPENAI_API_KEY") {
            Mode::ApiKey
        } else {
            Mode::Chatgpt
        })
    }

    /// Whether there is any login in it at all.
    pub(crate) fn is_empty(&self) -> bool {
        !KEYS[1..].iter().any(|key| self.has(key))
    }

    /// The API key, where there is one.
    pub(crate) fn api_key(&self) -> Option<&str> {
        self.text("OPENAI_API_KEY")
            .map(str::trim)
            .filter(|key| !key.is_empty())
    }

    /// The personal access token, where there is one.
    pub(crate) fn personal_access_token(&self) -> Option<&str> {
        self.text("personal_access_token")
            .map(str::trim)
            .filter(|token| !token.is_empty())
    }

    /// The agent's identity: a record, or the text of a JWT.
    pub(crate) fn agent_identity(&self) -> Option<&Value> {
        self.0
            .get("agent_identity")
            .filter(|value| !value.is_null())
    }

    /// The tokens, where there is an access token.
    pub(crate) fn tokens(&self) -> Option<Tokens> {
        let tokens = self.0.get("tokens")?;
        let text = |key: &str| tokens[key].as_str().unwrap_or_default().trim().to_owned();
        let id_token = text("id_token");
        let account_id = Some(text("account_id")).filter(|id| !id.is_empty());
        let tokens = Tokens {
            account_id: account_id.or_else(|| Claims::of(&id_token).account_id),
            access_token: text("access_token"),
            refresh_token: text("refresh_token"),
            id_token,
        };
        (!tokens.access_token.is_empty()).then_some(tokens)
    }

    /// When the tokens were refreshed last.
    pub(crate) fn last_refresh(&self) -> Option<&str> {
        self.text("last_refresh")
    }

    /// The same login with the tokens that an authority gave for it.
    pub(crate) fn refreshed(&self, new: &NewTokens, now: &str) -> Self {
        let mut fields = self.0.clone();
        if let Some(tokens) = fields.get_mut("tokens").and_then(Value::as_object_mut) {
            for (key, token) in new.named() {
                tokens.insert(key.to_owned(), json!(token));
            }
        }
        fields.insert("last_refresh".to_owned(), json!(now));
        Self(fields)
    }

    /// The same login with an agent's identity beside it.
    pub(crate) fn with_agent_identity(&self, record: Value) -> Self {
        let mut fields = self.0.clone();
        fields.insert("agent_identity".to_owned(), record);
        Self(fields)
    }

    /// A new login in the place of whatever was there. Keys that no login has stay.
    pub(crate) fn of_login(before: Option<&Self>, login: Vec<(&'static str, Value)>) -> Self {
        let mut fields = Map::new();
        for key in KEYS {
            let given = login.iter().find(|(name, _)| *name == key);
            if let Some((_, value)) = given {
                fields.insert(key.to_owned(), value.clone());
            } else if key == "OPENAI_API_KEY" {
                fields.insert(key.to_owned(), Value::Null);
            }
        }
        let kept = before.into_iter().flat_map(|before| &before.0);
        for (key, value) in kept.filter(|(key, _)| !KEYS.contains(&key.as_str())) {
            fields.insert(key.clone(), value.clone());
        }
        Self(fields)
    }

    /// What is of the wrong kind, in words.
    fn check(&self) -> Result<(), String> {
        for key in [
            "auth_mode",
            "OPENAI_API_KEY",
            "last_refresh",
            "personal_access_token",
        ] {
            text_or_nothing(self.0.get(key), key)?;
        }
        let Some(tokens) = self.0.get("tokens").filter(|tokens| !tokens.is_null()) else {
            return Ok(());
        };
        if !tokens.is_object() {
            return Err("`tokens` is no object".to_owned());
        }
        for key in ["id_token", "access_token", "refresh_token", "account_id"] {
            text_or_nothing(tokens.get(key), &format!("tokens.{key}"))?;
        }
        Ok(())
    }

    fn has(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(|value| !value.is_null())
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.as_str()
    }
}

impl From<&Tokens> for NewTokens {
    fn from(tokens: &Tokens) -> Self {
        Self {
            id_token: Some(tokens.id_token.clone()),
            access_token: Some(tokens.access_token.clone()),
            refresh_token: Some(tokens.refresh_token.clone()),
        }
    }
}

impl NewTokens {
    fn named(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("id_token", &self.id_token),
            ("access_token", &self.access_token),
            ("refresh_token", &self.refresh_token),
        ];
        all.into_iter()
            .filter_map(|(key, token)| Some((key, token.as_deref()?)))
    }

    /// These tokens, and of an older set those that this one has none for.
    pub(crate) fn over(&self, old: &Tokens) -> Tokens {
        let newest = |new: &Option<String>, old: &String| new.as_ref().unwrap_or(old).clone();
        Tokens {
            id_token: newest(&self.id_token, &old.id_token),
            access_token: newest(&self.access_token, &old.access_token),
            refresh_token: newest(&self.refresh_token, &old.refresh_token),
            account_id: old.account_id.clone(),
        }
    }

    /// Whether every token can be sent in a header.
    pub(crate) fn is_usable(&self) -> bool {
        self.named().all(|(_, token)| is_token(token))
    }

    /// Those tokens that can be sent in a header.
    pub(crate) fn usable(self) -> Self {
        let usable = |token: Option<String>| token.filter(|token| is_token(token));
        Self {
            id_token: usable(self.id_token),
            access_token: usable(self.access_token),
            refresh_token: usable(self.refresh_token),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.named().next().is_none()
    }
}

fn text_or_nothing(value: Option<&Value>, key: &str) -> Result<(), String> {
    match value {
        None | Some(Value::Null | Value::String(_)) => Ok(()),
        Some(_) => Err(format!("`{key}` is no text")),
    }
}

/// Shows which keys there are, not what is in them.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Document")
            .field(&self.0.keys().collect::<Vec<_>>())
            .finish()
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({:?})", self.account_id)
    }
}

impl fmt::Debug for NewTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.named().map(|(key, _)| key))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(value: &Value) -> Document {
        Document::parse(value.to_string().as_bytes(), "auth.json").expect("a document")
    }

    #[test]
    fn the_mode_is_said_or_follows_from_the_keys() {
        let mode = |value: Value| document(&value).mode();
        assert_eq!(
            mode(json!({ "auth_mode": "agentIdentity", "OPENAI_API_KEY": "k" })),
            Ok(Mode::AgentIdentity)
        );
        let all = json!({ "personal_access_token": "at-1", "bedrock_api_key": {}, "OPENAI_API_KEY": "k", "tokens": {} });
        let mut keys = all.as_object().expect("an object").clone();
        let mut inferred = Vec::new();
        for key in [
            "personal_access_token",
            "bedrock_api_key",
            "OPENAI_API_KEY",
            "tokens",
        ] {
            inferred.push(mode(Value::Object(keys.clone())).expect("a mode"));
            keys.insert(key.to_owned(), Value::Null);
        }
        assert_eq!(
            inferred,
            [
                Mode::PersonalAccessToken,
                Mode::BedrockApiKey,
                Mode::ApiKey,
                Mode::Chatgpt
            ]
        );
    }

    #[test]
    fn kinds_that_are_not_stored_are_refused() {
        let words = |name: &str| {
            document(&json!({ "auth_mode": name }))
                .mode()
                .expect_err("refused")
                .to_string()
        };
        assert_eq!(
            words("headers"),
            "the stored login is of the kind `headers`, which is never stored"
        );
        assert_eq!(
            words("x\n"),
            "the stored login is of a kind that is not known: `x\\n`"
        );
    }

    #[test]
    fn a_damaged_document_says_where_and_quotes_nothing() {
        let words = |text: &str| {
            Document::parse(text.as_bytes(), "/h/auth.json")
                .expect_err("damaged")
                .to_string()
        };
        let rest = "and is left as it is: mend it, or move it away and sign in again with `dovetail login`";
        assert_eq!(
            words("{\"OPENAI_API_KEY\": sk-1}"),
            format!("`/h/auth.json` is damaged (line 1, column 20) {rest}")
        );
        assert_eq!(
            words("[\"sk-1\"]"),
            format!("`/h/auth.json` is damaged (it is no object) {rest}")
        );
        let text = r#"{"tokens":{"access_token":7}}"#;
        assert_eq!(
            words(text),
            format!("`/h/auth.json` is damaged (`tokens.access_token` is no text) {rest}")
        );
        assert!(words("").contains("line 1"));
    }

    #[test]
    fn what_is_not_known_survives_a_refresh_and_a_new_login() {
        let before = document(&json!({
            "later": { "x": [1] }, "auth_mode": "chatgpt", "OPENAI_API_KEY": null,
            "tokens": { "id_token": "i", "access_token": "a", "refresh_token": "r", "provenance": 1, "account_id": "c" },
            "last_refresh": "2026-01-01T00:00:00Z",
        }));
        let new = NewTokens {
            access_token: Some("a2".to_owned()),
            ..NewTokens::default()
        };
        let after = before.refreshed(&new, "2026-02-02T00:00:00Z");
        let expected = json!({
            "later": { "x": [1] }, "auth_mode": "chatgpt", "OPENAI_API_KEY": null,
            "tokens": { "id_token": "i", "access_token": "a2", "refresh_token": "r", "provenance": 1, "account_id": "c" },
            "last_refresh": "2026-02-02T00:00:00Z",
        });
        assert_eq!(
            String::from_utf8(after.to_bytes()),
            Ok(serde_json::to_string_pretty(&expected).expect("JSON"))
        );
        let key = Document::of_login(
            Some(&before),
            vec![
                ("OPENAI_API_KEY", json!("sk")),
                ("auth_mode", json!("apikey")),
            ],
        );
        let expected =
            json!({ "auth_mode": "apikey", "OPENAI_API_KEY": "sk", "later": { "x": [1] } });
        assert_eq!(Value::Object(key.0), expected);
    }

    #[test]
    fn tokens_without_an_account_have_the_one_they_name() {
        let token = crate::fake::jwt(
            &json!({ "https://api.openai.com/auth": { "chatgpt_account_id": "named" } }),
        );
        let tokens = |account: Value| {
            let value = json!({ "tokens": { "id_token": token, "access_token": "a", "refresh_token": "r", "account_id": account } });
            document(&value).tokens().expect("tokens").account_id
        };
        assert_eq!(tokens(Value::Null).as_deref(), Some("named"));
        assert_eq!(tokens(json!("chosen")).as_deref(), Some("chosen"));
        assert_eq!(
            document(&json!({ "tokens": { "refresh_token": "r" } })).tokens(),
            None
        );
    }
}
