//! `exec review`: what is to be reviewed, and the thread of the reviewer.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use dovetail_core::event::{Observer, ThreadInfo};
use dovetail_core::ids::{ThreadId, WindowId};
use dovetail_core::lineage::SubagentKind;
use dovetail_core::records::EventRecords;
use dovetail_core::review::{REVIEW_INSTRUCTIONS, ReviewTarget};
use dovetail_core::toolbox::Toolbox;
use dovetail_core::turn::{Ports, Prompt, Review, Thread, TurnOptions};
use dovetail_core::verdict::HookChain;
use dovetail_store::{NullRecorder, RolloutRecorder, Syncer};
use tokio_util::sync::CancellationToken;

use super::plan::{Plan, Target};
use super::prepare::interrupted_early;
use crate::args::ReviewArgs;
use crate::fatal::Fatal;
use crate::git::{self, Answer, ask};
use crate::models::Online;
use crate::plugins::House;
use crate::sink_feed::SinkFeed;
use crate::turn_setup::TurnSetup;
use crate::{model_port, models, prompt};

/// What a command line asks to review.
///
/// # Errors
/// It names nothing, or there is nothing on standard input.
pub(super) fn target(args: ReviewArgs) -> anyhow::Result<ReviewTarget> {
    let ReviewArgs {
        prompt: text,
        uncommitted,
        base,
        commit,
        title,
        ..
    } = args;
    if uncommitted {
        return Ok(ReviewTarget::UncommittedChanges);
    }
    if let Some(branch) = base {
        return Ok(ReviewTarget::BaseBranch { branch });
    }
    if let Some(sha) = commit {
        return Ok(ReviewTarget::Commit { sha, title });
    }
    let text = match text.as_deref() {
        Some("-") => prompt::text(Some("-"))?,
        text => text.unwrap_or_default().to_owned(),
    };
    match text.trim() {
        "" => Err(Fatal::new("nothing is named to review")
            .hint("name it: --uncommitted, --base BRANCH, --commit SHA, or your own words: dovetail exec review \"look at the error handling\"")
            .into()),
        text => Ok(ReviewTarget::Custom { instructions: text.to_owned() }),
    }
}

/// A review that can be made.
pub(super) struct Planned {
    target: ReviewTarget,
    merge_base: Option<String>,
    /// The work tree that has uncommitted changes, where that is known.
    changed: Option<PathBuf>,
    /// The reviewer's thread.
    pub(super) reviewer: ThreadId,
    /// The reviewer's model and what it may do.
    pub(super) setup: TurnSetup,
}

/// Looks whether there is anything to review, before anybody is asked to; none where no review was asked for. Where git
/// cannot tell, the reviewer finds out.
///
/// # Errors
/// There is no work tree, no such branch or commit, or nothing has changed; the model cannot be used; or somebody
/// interrupted it.
pub(super) async fn prepare(
    plan: &Plan,
    cancel: &CancellationToken,
) -> anyhow::Result<Option<Planned>> {
    let Target::Review(target) = &plan.target else {
        return Ok(None);
    };
    let place = Place { plan };
    let seen = tokio::select! {
        biased;
        () = cancel.cancelled() => return Err(interrupted_early().into()),
        seen = place.look(target) => seen?,
    };
    let named = plan.options.model.as_deref();
    let model = named.or(plan.config.review_model.as_deref());
    let model = model.unwrap_or_else(|| models::chosen(&plan.config));
    Ok(Some(Planned {
        target: target.clone(),
        merge_base: seen.merge_base,
        changed: seen.changed,
        // Later than the parent's, so that lists have them in that order.
        reviewer: ThreadId::generate(),
        setup: plan.setup.for_review(&plan.config, model),
    }))
}

/// What git told of what is to be reviewed.
#[derive(Default)]
struct Seen {
    merge_base: Option<String>,
    changed: Option<PathBuf>,
}

/// Where the review takes place.
struct Place<'p> {
    plan: &'p Plan,
}

impl Place<'_> {
    async fn look(&self, target: &ReviewTarget) -> anyhow::Result<Seen> {
        let cwd = &self.plan.setup.cwd;
        if matches!(target, ReviewTarget::Custom { .. }) {
            return Ok(Seen::default());
        }
        let Some(root) = git::root_of(cwd) else {
            return Err(
                Fatal::new(format!("`{}` is in no git work tree", cwd.display()))
                    .hint("outside of one, say what to review: dovetail exec review \"…\"")
                    .into(),
            );
        };
        Ok(match target {
            ReviewTarget::UncommittedChanges => Seen {
                changed: self.uncommitted().await?.then_some(root),
                ..Seen::default()
            },
            ReviewTarget::BaseBranch { branch } => Seen {
                merge_base: self.base(branch).await?,
                ..Seen::default()
            },
            ReviewTarget::Commit { sha, .. } => {
                self.commit(sha).await?;
                Seen::default()
            }
            ReviewTarget::Custom { .. } => Seen::default(),
        })
    }

    async fn ask(&self, arguments: &[&str]) -> Answer {
        ask(&self.plan.setup.cwd, arguments).await
    }

    /// Whether git says that there are changes; that there are none is an error.
    async fn uncommitted(&self) -> anyhow::Result<bool> {
        match self.ask(&["status", "--porcelain"]).await {
            Answer::Yes(changes) if changes.is_empty() => {
                Err(nothing("everything is committed".to_owned())
                    .hint("a branch is reviewed with --base BRANCH, a commit with --commit SHA")
                    .into())
            }
            Answer::Yes(_) => Ok(true),
            Answer::No | Answer::Unknown => Ok(false),
        }
    }

    /// Where the work left the branch, or its upstream where that is ahead.
    async fn base(&self, branch: &str) -> anyhow::Result<Option<String>> {
        let Some(known) = self.commit(branch).await? else {
            return Ok(None);
        };
        if self.commit("HEAD").await?.is_none() {
            return Ok(None);
        }
        let upstream = format!("{branch}@{{upstream}}^{{commit}}");
        let mut newest = known.clone();
        if let Answer::Yes(upstream) = self
            .ask(&[
                "rev-parse",
                "--verify",
                "--quiet",
                "--end-of-options",
                &upstream,
            ])
            .await
            && let Answer::Yes(ahead) = self
                .ask(&["rev-list", "--count", &format!("{known}..{upstream}")])
                .await
            && ahead != "0"
        {
            newest = upstream;
        }
        let base = match self.ask(&["merge-base", "HEAD", &newest]).await {
            Answer::Yes(base) => base,
            Answer::No => {
                return Err(nothing(format!(
                    "the work here and `{branch}` have no commit in common"
                ))
                .into());
            }
            Answer::Unknown => return Ok(None),
        };
        let same = ["diff", "--quiet", "--no-ext-diff", "--no-textconv", &base];
        match self.ask(&same).await {
            Answer::Yes(_) => Err(nothing(format!(
                "nothing differs from where the work left `{branch}`"
            ))
            .hint("files that are not added to git count with --uncommitted")
            .into()),
            Answer::No | Answer::Unknown => Ok(Some(base)),
        }
    }

    /// The id of a commit; none where git does not tell.
    async fn commit(&self, name: &str) -> anyhow::Result<Option<String>> {
        let peeled = format!("{name}^{{commit}}");
        let verify = [
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            &peeled,
        ];
        match self.ask(&verify).await {
            Answer::Yes(id) => Ok(Some(id)),
            Answer::Unknown => Ok(None),
            Answer::No if name == "HEAD" => Err(nothing("there is no commit yet".to_owned())
                .hint("what is not committed is reviewed with --uncommitted")
                .into()),
            Answer::No => Err(Fatal::new(format!("git knows no branch or commit `{name}` here"))
                .hint("`git branch -a` and `git log --oneline` show what there is; `git fetch` gets what others have")
                .into()),
        }
    }
}

fn nothing(why: String) -> Fatal {
    Fatal::new(format!("there is nothing to review: {why}"))
}

/// What the reviewer works with, besides its own.
pub(super) struct Surroundings<'s> {
    pub(super) plan: &'s Plan,
    pub(super) house: &'s House,
    pub(super) parent: &'s ThreadInfo,
    /// The turn that asks for the review.
    pub(super) turn: &'s TurnOptions,
    /// Who keeps the list of models.
    pub(super) online: Option<&'s Online>,
    pub(super) tools: Toolbox,
    pub(super) hooks: Arc<HookChain>,
}

impl Planned {
    /// Sets the reviewer up. Its file is made when it begins; what waits for the disk comes with it.
    ///
    /// # Errors
    /// The endpoint's address cannot be used.
    pub(super) fn set_up(
        self,
        prompt: Prompt,
        with: Surroundings<'_>,
    ) -> anyhow::Result<(Review, Option<Syncer>)> {
        let Surroundings { plan, house, .. } = with;
        let info = self.info(with.parent);
        let recorder = (!plan.options.ephemeral)
            .then(|| RolloutRecorder::create(&plan.config.home, info.clone()));
        let path = recorder.as_ref().map(|recorder| recorder.path().to_owned());
        let syncer = recorder.as_ref().map(RolloutRecorder::syncer);
        let mut observers: Vec<Box<dyn Observer>> = Vec::new();
        if let Some(pump) = &house.pump {
            let records = EventRecords::new(info.clone());
            observers.push(Box::new(SinkFeed::start(records, Arc::clone(pump), false)));
        }
        let options = TurnOptions {
            turn_trigger: None,
            web_search: None,
            workspaces: with.turn.workspaces.clone(),
            ..self.setup.turn_options(
                &plan.config,
                with.turn.installation_id.clone(),
                with.turn.facts.agents_md.clone(),
                house.capabilities,
                path.as_deref(),
            )
        };
        let ports = Ports {
            model: models::listen(model_port::client(house, &plan.config, &info)?, with.online),
            tools: with.tools,
            hooks: with.hooks,
            recorder: match recorder {
                Some(recorder) => Box::new(recorder),
                None => Box::new(NullRecorder),
            },
            observers,
        };
        if let Some(root) = &self.changed {
            options
                .workspaces
                .set_has_changes(&root.display().to_string(), true);
        }
        let review = Review {
            prompt: Prompt {
                text: self.target.prompt(self.merge_base.as_deref()),
                images: prompt.images,
            },
            target: self.target,
            reviewer: Thread::start(info, ports),
            options,
        };
        Ok((review, syncer))
    }

    fn info(&self, parent: &ThreadInfo) -> ThreadInfo {
        ThreadInfo {
            thread_id: self.reviewer,
            window_id: WindowId::generate(),
            thread_source: Some("subagent".to_owned()),
            parent_thread_id: Some(parent.thread_id),
            forked_from: None,
            subagent: Some(SubagentKind::Review),
            base_instructions: REVIEW_INSTRUCTIONS.to_owned(),
            model: self.setup.model.slug.clone(),
            created: SystemTime::now(),
            ..parent.clone()
        }
    }
}
