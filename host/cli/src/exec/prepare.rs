//! What a turn needs beside its thread: plugins, and what the model is told and asked for.

use std::path::Path;
use std::sync::Arc;

use dovetail_core::turn::{Prompt, TurnOptions};
use dovetail_store::LastSettings;
use tokio_util::sync::CancellationToken;

use super::open::Opened;
use super::plan::Plan;
use crate::fatal::Fatal;
use crate::identity;
use crate::models::{self, Known, Online, Serving, Source};
use crate::plugins::{self, House};
use crate::turn_setup::TurnSetup;

/// Loads the plugins, unless somebody interrupts it.
pub(super) async fn load_plugins(
    plan: &Plan,
    without_keys: bool,
    cancel: &CancellationToken,
) -> anyhow::Result<House> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => {
            // A plugin that was being asked for its tools may have started something.
            dovetail_runtime::process::end_all();
            Err(interrupted_early().into())
        }
        house = plugins::load(&plan.config, plan.options.strict, without_keys) => house,
    }
}

/// Takes in what the provider itself says of its models, and sees to it that its list stays up to date. A provider that says
/// nothing costs nothing.
pub(super) async fn learn_models(
    plan: &mut Plan,
    reviewer: Option<&mut TurnSetup>,
    house: &House,
    source: &str,
    cancel: &CancellationToken,
) -> Option<Online> {
    let config = &plan.config;
    let serving = house.serving(Serving::scope(config, source))?;
    let mut known = Known::clone(&plan.setup.known);
    if !serving.is_builtin && config.model_catalog.is_none() {
        known.add_offer(serving.provider.plugin(), models::offer(&serving).await);
    }
    let found = Source::find(config, serving).await;
    let source = found.unwrap_or_else(|why| {
        tracing::warn!(%why, "the provider is not asked for its models");
        None
    });
    let used = [Some(&plan.setup), reviewer.as_deref()];
    let used: Vec<String> = used
        .into_iter()
        .flatten()
        .map(|setup| setup.model.slug.clone())
        .collect();
    let online = match source {
        Some(source) => Some(Online::begin(source, config, &mut known, &used, cancel).await),
        None => None,
    };
    let known = Arc::new(known);
    plan.setup.learn(config, &known);
    if let Some(reviewer) = reviewer {
        reviewer.learn(config, &known);
    }
    online
}

/// Somebody did not want to wait for the turn to begin.
pub(super) fn interrupted_early() -> Fatal {
    Fatal::new("interrupted before the turn began")
}

/// Settles what the turn asks for, and collects what the user should know before it begins: where there is a reviewer,
/// of that one's model.
pub(super) fn prepare_turn(
    plan: &mut Plan,
    opened: &mut Opened,
    house: &House,
    prompt: &Prompt,
    reviewer: Option<&TurnSetup>,
) -> anyhow::Result<TurnOptions> {
    plan.warnings.append(&mut opened.warnings);
    plan.warnings.extend(house.warnings.iter().cloned());
    let last = opened.last.take().unwrap_or_default();
    if let Some(tier) = &last.service_tier {
        plan.setup.keep_service_tier(&plan.config, tier);
    }
    let asked = reviewer.unwrap_or(&plan.setup);
    plan.warnings.extend(asked.warnings(&plan.config));
    if !prompt.images.is_empty() && !asked.model.info.takes_images() {
        plan.warnings.push(format!(
            "the model `{}` takes no images: it is told that there was one",
            asked.model.slug
        ));
    }

    let told = Told::now(plan)?;
    let options = |setup: &TurnSetup| told.options(setup, plan, house, opened.path.as_deref());
    let turn = options(&plan.setup);
    let before = model_before(&last, plan)
        .map(|slug| plan.setup.with_model(&plan.config, slug))
        .map(|setup| Box::new(options(&setup)));
    if let Some(resumed) = &mut opened.resumed {
        resumed.previous = before;
    }
    Ok(turn)
}

/// What a turn is told that may be another thing in the next one.
pub(super) struct Told {
    agents_md: Option<String>,
    installation: String,
}

impl Told {
    /// Reads the project's files.
    ///
    /// # Errors
    /// The installation's id can be neither read nor kept.
    pub(super) fn now(plan: &mut Plan) -> anyhow::Result<Self> {
        let docs = dovetail_config::collect_project_docs(
            &plan.config.home,
            &plan.config.project,
            &plan.setup.cwd,
            &plan.config.project_docs,
        );
        plan.warnings.extend(docs.warnings);
        let installation = identity::installation_id(&plan.config.home).map_err(|error| {
            Fatal::new(format!(
                "cannot keep an installation id in `{}`: {error}",
                plan.config.home.join(identity::INSTALLATION_ID).display()
            ))
        })?;
        Ok(Self {
            agents_md: (!docs.text.is_empty()).then_some(docs.text),
            installation,
        })
    }

    /// How a turn runs whose thread is kept in a file, if it is.
    pub(super) fn options(
        &self,
        setup: &TurnSetup,
        plan: &Plan,
        house: &House,
        path: Option<&Path>,
    ) -> TurnOptions {
        setup.turn_options(
            &plan.config,
            self.installation.clone(),
            self.agents_md.clone(),
            house.capabilities,
            path,
        )
    }
}

/// The model that a conversation was with before, where that is another one and can still be asked.
fn model_before<'l>(last: &'l LastSettings, plan: &Plan) -> Option<&'l str> {
    let slug = last.model.as_deref()?;
    let same_provider = last.provider_id.as_ref() == Some(&plan.config.model_provider);
    (same_provider && slug != plan.setup.model.slug).then_some(slug)
}
