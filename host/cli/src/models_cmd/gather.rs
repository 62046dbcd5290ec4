//! Everything that can be known of models by somebody who only wants to look.

use std::time::SystemTime;

use dovetail_config::Config;
use dovetail_models::KeptList;
use serde_json::{Value, json};

use super::Asking;
use crate::fatal::Fatal;
use crate::models::{self, Known, Serving, Source, Strategy};
use crate::plugins::Asked;
use crate::provider_choice::ProviderTable;

/// What is known, and from where.
pub(super) struct Gathered {
    pub(super) known: Known,
    /// The provider's own list.
    pub(super) online: Option<KeptList>,
    /// Whether models can be used that keys cannot use.
    pub(super) is_of_account: bool,
    pub(super) warnings: Vec<String>,
    provider: String,
}

impl Asking {
    fn strategy(self) -> Strategy {
        match self {
            Self { refresh: true, .. } => Strategy::Online,
            Self { offline: true, .. } => Strategy::Offline,
            _ => Strategy::OnlineIfUncached,
        }
    }
}

/// Gathers it. A provider that cannot be asked is no reason to show less than without it.
///
/// # Errors
/// The catalogue cannot be used, or the list cannot be had although somebody wants it anew.
pub(super) async fn gather(config: &Config, asking: Asking) -> anyhow::Result<Gathered> {
    let mut gathered = Gathered {
        known: Known::of(config)?,
        online: None,
        is_of_account: false,
        warnings: Vec::new(),
        provider: config.model_provider.clone(),
    };
    if config.model_catalog.is_some() {
        if asking.refresh {
            let text = "nobody is asked for models: `model_catalog_json` is all there is";
            gathered.warnings.push(text.to_owned());
        }
        return Ok(gathered);
    }
    match serving(config).await {
        Ok(serving) => gathered.ask(config, serving, asking).await?,
        Err(error) if asking.refresh => return Err(error),
        Err(error) => gathered.warnings.push(format!(
            "what the provider says of its models is not known: {error}"
        )),
    }
    Ok(gathered)
}

async fn serving(config: &Config) -> anyhow::Result<Serving> {
    let table = ProviderTable::of(config)?;
    let asked = Asked::load(config, table).await?;
    Ok(asked.serving(Serving::scope(config, "cli")))
}

impl Gathered {
    async fn ask(
        &mut self,
        config: &Config,
        serving: Serving,
        asking: Asking,
    ) -> anyhow::Result<()> {
        let plugin = serving.provider.plugin().clone();
        self.known.add_offer(&plugin, models::offer(&serving).await);
        let source = match Source::find(config, serving).await {
            Ok(source) => source,
            Err(why) if asking.refresh => return Err(unavailable(config, &why).into()),
            Err(why) => {
                self.warnings
                    .push(format!("the provider is not asked for its models: {why}"));
                None
            }
        };
        let Some(source) = source else {
            if asking.refresh {
                self.warnings.push(format!(
                    "the provider `{}` has no list of models to be asked for",
                    self.provider
                ));
            }
            return Ok(());
        };
        self.is_of_account = source.is_of_account();
        let (list, failed) = models::look(source, config, asking.strategy()).await;
        if let Some(list) = &list {
            self.known.add_list(list);
        }
        self.online = list;
        match failed {
            Some(why) if asking.refresh => Err(unavailable(config, &why).into()),
            Some(why) => {
                self.warnings.push(format!(
                    "the provider's list of models cannot be had: {why}"
                ));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The provider's own list, for programs.
    pub(super) fn online_json(&self) -> Value {
        let Some(list) = &self.online else {
            return Value::Null;
        };
        json!({
            "provider": self.provider,
            "fetched_at": list.fetched_at().to_string(),
            "fresh": list.is_fresh(SystemTime::now()),
            "models": list.models().len(),
        })
    }
}

fn unavailable(config: &Config, why: &str) -> Fatal {
    Fatal::new(format!(
        "the list of models of provider `{}` cannot be had: {why}",
        config.model_provider
    ))
    .hint("dovetail models list --offline    shows what is known without it")
}
