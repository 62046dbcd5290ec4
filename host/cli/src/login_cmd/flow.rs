//! The two ways of signing in that take a person some time: in a browser on this machine, and with a code.

use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dovetail_core::plugin::{Account, Beginning, Challenge, PluginError, Way};

use super::callback::Callback;
use crate::fatal::Fatal;
use crate::out;

/// The provider whose login it is.
pub(super) const PROVIDER: &str = "openai";

/// Signs in in a browser; gives the words for the login.
pub(super) async fn in_browser(account: &Arc<dyn Account>, open: bool) -> anyhow::Result<String> {
    let callback = Callback::listen().await.map_err(|error| {
        Fatal::new(format!(
            "cannot listen on 127.0.0.1:1455, where the browser comes back to: {error}"
        ))
        .hint("another sign-in may be running; end it, or use a code: dovetail login --device-auth")
    })?;
    let way = Way::Browser {
        redirect_uri: callback.redirect_uri(),
    };
    let challenge = match begin(account, way).await? {
        Beginning::Done(words) => return Ok(words),
        Beginning::Challenged(challenge) => challenge,
    };
    out::stderr(&format!(
        "Sign in in your browser. It comes back to {}.\nIf no page opens, go to:\n\n{}\n\nOn a machine without a browser: dovetail login --device-auth\n",
        callback.address(),
        challenge.url
    ));
    if open {
        open_page(&challenge.url);
    }
    let finished = tokio::time::timeout(
        challenge.expires_in,
        finished(account, &challenge, callback),
    );
    tokio::select! {
        finished = finished => finished.map_err(|_| late(&challenge))?,
        () = interrupted() => Err(stopped()),
    }
}

/// Waits until the browser comes back from this sign-in, and ends it. Any page can lead a browser here, so what comes from
/// elsewhere ends nothing.
async fn finished(
    account: &Arc<dyn Account>,
    challenge: &Challenge,
    mut callback: Callback,
) -> anyhow::Result<String> {
    loop {
        let returned = callback.wait().await?;
        let query = &returned.query;
        let finished = account.finish(PROVIDER, &challenge.state, query).await;
        let (worked, words) = match &finished {
            Ok(_) => (
                true,
                "You are signed in. You can close this page.".to_owned(),
            ),
            Err(error) => (false, format!("You are not signed in: {error}")),
        };
        returned.tell(worked, &words).await;
        match finished {
            Err(PluginError::Invalid(_)) => {}
            finished => return finished.map_err(fatal),
        }
    }
}

/// Signs in with a code.
pub(super) async fn with_code(account: &Arc<dyn Account>) -> anyhow::Result<String> {
    let challenge = match begin(account, Way::Device).await? {
        Beginning::Done(words) => return Ok(words),
        Beginning::Challenged(challenge) => challenge,
    };
    let minutes = challenge.expires_in.as_secs() / 60;
    out::stderr(&format!(
        "1  open     {}\n2  enter    {}    within {minutes} minutes\n\nOnly go on if you started this yourself: a code that somebody sent you signs them in.\n",
        challenge.url,
        challenge
            .user_code
            .as_deref()
            .unwrap_or("the code that you are shown"),
    ));
    let polled = tokio::time::timeout(challenge.expires_in, poll(account, &challenge));
    tokio::select! {
        done = polled => done.map_err(|_| late(&challenge))?,
        () = interrupted() => Err(stopped()),
    }
}

async fn poll(account: &Arc<dyn Account>, challenge: &Challenge) -> anyhow::Result<String> {
    let mut complained: Option<Instant> = None;
    loop {
        tokio::time::sleep(challenge.interval).await;
        match account.poll(PROVIDER, &challenge.state).await {
            Ok(Some(words)) => return Ok(words),
            Ok(None) => {}
            Err(PluginError::Retryable { reason, after }) => {
                let quiet = complained.is_some_and(|last| last.elapsed() < Duration::from_secs(60));
                if !quiet {
                    out::stderr(&format!("warning: {reason}; trying on\n"));
                    complained = Some(Instant::now());
                }
                tokio::time::sleep(after.unwrap_or_default()).await;
            }
            Err(error) => return Err(fatal(error)),
        }
    }
}

/// Begins signing in.
pub(super) async fn begin(account: &Arc<dyn Account>, way: Way) -> anyhow::Result<Beginning> {
    account.begin(PROVIDER, way).await.map_err(fatal)
}

/// A plugin's refusal, for people.
pub(super) fn fatal(error: PluginError) -> anyhow::Error {
    Fatal::new(error.to_string()).into()
}

fn late(challenge: &Challenge) -> anyhow::Error {
    let minutes = challenge.expires_in.as_secs() / 60;
    Fatal::new(format!("nobody signed in within {minutes} minutes"))
        .hint("try again: dovetail login")
        .into()
}

fn stopped() -> anyhow::Error {
    Fatal::new("interrupted; you are not signed in").into()
}

async fn interrupted() {
    // Where signals cannot be heard, the default ends the process, which is as good.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Opens a page, where this machine knows how. The address is printed in any case.
fn open_page(url: &str) {
    let program = match std::env::consts::OS {
        "macos" => "open",
        _ => "xdg-open",
    };
    let started = tokio::process::Command::new(program)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    // A machine without such a program has a person who can read.
    drop(started);
}
