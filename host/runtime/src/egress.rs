//! Who may send what where: the grants in force, and the secrets they open.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use dovetail_core::ids::PluginId;
use dovetail_core::plugin::{HeaderTemplate, PluginError, ValuePart};
use dovetail_core::secret::{Egress, SecretText};
use url::Url;

use crate::grant::Grant;
use crate::origin::origin_of;
use crate::secrets::{SecretError, Secrets};

/// The grants of all loaded plugins, and their secrets.
#[derive(Debug)]
pub struct EgressPolicy {
    grants: RwLock<HashMap<PluginId, Arc<Grant>>>,
    secrets: Arc<Secrets>,
}

impl EgressPolicy {
    /// Starts without any plugin: nothing is allowed.
    pub fn new(secrets: Arc<Secrets>) -> Self {
        Self {
            grants: RwLock::default(),
            secrets,
        }
    }

    /// Puts a plugin's grant in force, in place of an earlier one: from now on requests that the host makes on its
    /// behalf go by it.
    pub fn admit(&self, plugin: PluginId, grant: Arc<Grant>) {
        self.grants
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(plugin, grant);
    }

    /// Takes a plugin's grant away.
    pub fn revoke(&self, plugin: &PluginId) {
        self.grants
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(plugin);
    }

    /// A plugin's grant.
    ///
    /// # Errors
    /// `Denied` for a plugin that has none.
    pub fn grant(&self, plugin: &PluginId) -> Result<Arc<Grant>, PluginError> {
        let grants = self.grants.read().unwrap_or_else(PoisonError::into_inner);
        grants
            .get(plugin)
            .cloned()
            .ok_or_else(|| PluginError::Denied(format!("plugin `{plugin}` has no grant")))
    }

    /// The secrets.
    pub fn secrets(&self) -> &Arc<Secrets> {
        &self.secrets
    }

    /// Fails where all of a plugin's grants were taken away. Each generation of it goes by its own grant, so that one
    /// that is being tried out gives nothing to the one that still runs; but all of them end together.
    ///
    /// # Errors
    /// `Denied` for a plugin that has none.
    pub(crate) fn check_in_force(&self, plugin: &PluginId) -> Result<(), PluginError> {
        self.grant(plugin).map(drop)
    }

    /// Whether a slot can be filled now, for a plugin with this grant. May wait, see [`Secrets::get`].
    ///
    /// # Errors
    /// `Denied` for a slot that the grant does not list, `Unavailable` where what its source holds cannot be read.
    pub fn secret_exists(
        &self,
        plugin: &PluginId,
        grant: &Grant,
        slot: &str,
    ) -> Result<bool, PluginError> {
        self.check_in_force(plugin)?;
        check_slot(plugin, grant, slot)?;
        match self.secrets.get(plugin, slot) {
            Ok(_) => Ok(true),
            Err(SecretError::Missing { .. } | SecretError::NoSource { .. }) => Ok(false),
            // Were it taken for an empty one, a plugin would go on to another credential, or to none.
            Err(error @ SecretError::Unreadable { .. }) => Err(error.into()),
        }
    }

    /// Fills a header for a request to `url` that a plugin with this grant sends itself. May wait.
    ///
    /// # Errors
    /// As [`Egress::render`].
    pub(crate) fn render_under(
        &self,
        plugin: &PluginId,
        grant: &Grant,
        url: &str,
        header: &HeaderTemplate,
    ) -> Result<SecretText, PluginError> {
        self.checked_url(plugin, grant, url)?;
        self.fill(plugin, grant, header)
    }

    /// Reads a URL and checks its origin.
    pub(crate) fn checked_url(
        &self,
        plugin: &PluginId,
        grant: &Grant,
        url: &str,
    ) -> Result<Url, PluginError> {
        // The text is not repeated: a query may hold a credential.
        let parsed = Url::parse(url).map_err(|error| {
            PluginError::Invalid(format!(
                "plugin `{plugin}` gave something that is no URL: {error}"
            ))
        })?;
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(PluginError::Invalid(format!(
                "plugin `{plugin}` gave a URL with a user name"
            )));
        }
        if grant.allows_url(&parsed) {
            return Ok(parsed);
        }
        let origin = origin_of(&parsed);
        // Paths are not repeated either: those of webhooks are secrets.
        let path = match grant.names_origin(&parsed) {
            true => "that path of ",
            false => "",
        };
        Err(PluginError::Denied(format!(
            "plugin `{plugin}` may not connect to {path}`{origin}`; to allow it: dovetail plugin grant {plugin} net {origin}"
        )))
    }

    /// The same for a request that a plugin sends itself, which the grant may bind to methods.
    pub(crate) fn checked_request(
        &self,
        plugin: &PluginId,
        grant: &Grant,
        method: &str,
        url: &str,
    ) -> Result<Url, PluginError> {
        let url = self.checked_url(plugin, grant, url)?;
        if grant.allows_request(method, &url) {
            return Ok(url);
        }
        let origin = origin_of(&url);
        let method = method.escape_debug();
        Err(PluginError::Denied(format!(
            "plugin `{plugin}` may not send `{method}` to that path of `{origin}`; to allow it: dovetail plugin grant {plugin} net \"{method} {origin}\""
        )))
    }

    fn fill(
        &self,
        plugin: &PluginId,
        grant: &Grant,
        header: &HeaderTemplate,
    ) -> Result<SecretText, PluginError> {
        let mut parts: Vec<SecretText> = Vec::with_capacity(header.value.len());
        for part in &header.value {
            parts.push(match part {
                ValuePart::Literal(text) => SecretText::new(text.clone()),
                ValuePart::Secret(slot) => {
                    check_slot(plugin, grant, slot)?;
                    self.secrets.get(plugin, slot)?
                }
            });
        }
        join(&parts, &header.name.escape_debug().to_string())
    }
}

/// Larger than any credential in use; servers refuse more.
const MOST_HEADER_VALUE: usize = 64 << 10;

impl Egress for EgressPolicy {
    fn check_url(&self, plugin: &PluginId, url: &str) -> Result<(), PluginError> {
        self.checked_url(plugin, &*self.grant(plugin)?, url)
            .map(drop)
    }

    fn render(
        &self,
        plugin: &PluginId,
        url: &str,
        header: &HeaderTemplate,
    ) -> Result<SecretText, PluginError> {
        self.render_under(plugin, &*self.grant(plugin)?, url, header)
    }
}

fn check_slot(plugin: &PluginId, grant: &Grant, slot: &str) -> Result<(), PluginError> {
    if grant.allows_secret(slot) {
        return Ok(());
    }
    Err(PluginError::Denied(format!(
        "plugin `{plugin}` may not use secret `{slot}`; to allow it: dovetail plugin grant {plugin} secrets {slot}",
        slot = slot.escape_debug()
    )))
}

fn join(parts: &[SecretText], header: &str) -> Result<SecretText, PluginError> {
    let length: usize = parts.iter().map(|part| part.expose().len()).sum();
    if length > MOST_HEADER_VALUE {
        return Err(PluginError::Invalid(format!(
            "the value of header `{header}` is longer than {MOST_HEADER_VALUE} bytes"
        )));
    }
    // A control character would end the header and start another.
    if parts
        .iter()
        .any(|part| part.expose().chars().any(char::is_control))
    {
        return Err(PluginError::Invalid(format!(
            "the value of header `{header}` holds a control character"
        )));
    }
    // Room for all at once: growing would leave copies behind that nothing wipes.
    let mut value = String::with_capacity(length);
    parts.iter().for_each(|part| value.push_str(part.expose()));
    Ok(SecretText::new(value))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;
    use crate::capability::{Capabilities, SlotName};
    use crate::host_env::HostEnv;
    use crate::origin::OriginPattern;
    use crate::secret_source::SecretSource;

    fn id() -> PluginId {
        PluginId::parse("acme").expect("valid")
    }

    fn policy(token: &str) -> EgressPolicy {
        let env: HostEnv = [("ACME_TOKEN".into(), token.into())].into_iter().collect();
        let policy = EgressPolicy::new(Arc::new(Secrets::new(
            Arc::new(env),
            PathBuf::from("/none"),
        )));
        let asked = Capabilities {
            net: [OriginPattern::parse("https://llm.acme.example").expect("valid")].into(),
            secrets: ["acme-token", "unset"]
                .map(|slot| SlotName::parse(slot).expect("valid"))
                .into(),
            ..Capabilities::default()
        };
        policy.admit(id(), Arc::new(Grant::intersect(&asked, &asked)));
        policy
    }

    fn bearer(slot: &str) -> HeaderTemplate {
        let value = vec![
            ValuePart::Literal("Bearer ".to_owned()),
            ValuePart::Secret(slot.to_owned()),
        ];
        HeaderTemplate {
            name: "authorization".to_owned(),
            value,
            sensitive: true,
        }
    }

    #[test]
    fn a_secret_is_filled_in_for_a_granted_origin_only() {
        let policy = policy("s3cret");
        let filled = policy
            .render(&id(), "https://llm.acme.example/v1", &bearer("acme-token"))
            .expect("filled");
        assert_eq!(filled.expose(), "Bearer s3cret");
        let denied = policy
            .render(&id(), "https://evil.example/", &bearer("acme-token"))
            .expect_err("denied");
        assert_eq!(
            denied.to_string(),
            "denied: plugin `acme` may not connect to `https://evil.example`; \
             to allow it: dovetail plugin grant acme net https://evil.example"
        );
    }

    #[test]
    fn slots_outside_the_grant_and_empty_slots_are_different_errors() {
        let policy = policy("s3cret");
        let url = "https://llm.acme.example/";
        assert!(matches!(
            policy.render(&id(), url, &bearer("other")),
            Err(PluginError::Denied(_))
        ));
        let empty = policy
            .render(&id(), url, &bearer("unset"))
            .expect_err("empty");
        assert_eq!(
            empty.to_string(),
            "secret `unset` is not set: environment variable `UNSET` is missing or empty"
        );
        assert!(matches!(empty, PluginError::Unavailable(_)));
    }

    #[test]
    fn a_secret_with_a_line_break_is_not_sent_nor_shown() {
        let policy = policy("good\r\nX-Injected: 1");
        let error = policy
            .render(&id(), "https://llm.acme.example/", &bearer("acme-token"))
            .expect_err("refused");
        assert_eq!(
            error.to_string(),
            "the value of header `authorization` holds a control character"
        );
    }

    #[test]
    fn a_plugin_without_a_grant_reaches_nothing() {
        let other = PluginId::parse("other").expect("valid");
        let policy = policy("s3cret");
        assert!(matches!(
            policy.check_url(&other, "https://llm.acme.example/"),
            Err(PluginError::Denied(_))
        ));
        policy.revoke(&id());
        assert!(matches!(
            policy.check_url(&id(), "https://llm.acme.example/"),
            Err(PluginError::Denied(_))
        ));
    }

    #[test]
    fn urls_with_user_names_and_texts_that_are_no_urls_are_invalid() {
        let policy = policy("s3cret");
        for url in ["https://u:p@llm.acme.example/", "llm.acme.example", ""] {
            assert!(
                matches!(policy.check_url(&id(), url), Err(PluginError::Invalid(_))),
                "{url}"
            );
        }
    }

    #[test]
    fn a_chosen_source_takes_the_place_of_the_default() {
        let policy = policy("from the environment");
        let inline = SecretSource::Inline(SecretText::new("from the configuration".to_owned()));
        policy
            .secrets()
            .bind(id(), BTreeMap::from([("acme-token".to_owned(), inline)]));
        let filled = policy
            .render(&id(), "https://llm.acme.example/", &bearer("acme-token"))
            .expect("filled");
        assert_eq!(filled.expose(), "Bearer from the configuration");
    }
}
