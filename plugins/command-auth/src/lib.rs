//! A provider whose bearer token is printed by a command that the user's table names.
//!
//! The host runs the command; a command that fails, in whatever way, fails the request. The token is cached until it is
//! old or ends, and shared by all processes of the user: the command runs once for all of them. It is the one credential
//! that passes through plugin memory, because the plugin makes it.

mod auth_table;
mod printed;
mod shared;
mod token;

use std::collections::BTreeMap;

use dovetail_plugin_api::provider::{
    Capabilities, Description, Endpoint, Failure, FailureKind, Prepared, Purpose, Recovery, Scope,
};
use dovetail_plugin_api::{
    Error, PlainHeader, Provider, ProviderTable, clock, export_provider, failure, secrets,
};
use serde_json::{Map, Value, json};

use auth_table::AuthTable;
use shared::{Dated, Shared, Slot};

/// Where a table without a `base_url` leads, as for every provider.
const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";

/// What speaks Responses is offered what existing clients offer it; `web_search = "disabled"` turns it off.
const USUAL_CAPABILITIES: Capabilities = Capabilities::HOSTED_TOOLS;

/// The answer of services to a token that has ended, where they do not answer 401.
const FORBIDDEN: u16 = 403;

/// One provider id.
#[derive(Debug)]
struct Served {
    auth: AuthTable,
    /// The token that was last given to the host, and when.
    given: Option<(Dated, u64)>,
    /// The newest token that was found, for where nothing can be shared with other processes.
    newest: Option<Dated>,
    /// A token that `recover` found and the host has not asked for yet.
    fetched: Option<Dated>,
}

impl Served {
    fn new(auth: AuthTable) -> Self {
        Self {
            auth,
            given: None,
            newest: None,
            fetched: None,
        }
    }

    /// The token that is to be used now.
    fn token(
        &mut self,
        shared: &dyn Shared,
        now_ms: impl Fn() -> u64,
        fetch: impl Fn(&AuthTable) -> Result<printed::Token, Error>,
    ) -> Result<Dated, Error> {
        let dated = match self.fetched.take() {
            Some(dated) => dated,
            None => self.shared_or_new(shared, &now_ms, fetch, |held| held.is_good(now_ms()))?,
        };
        self.given = Some((dated.clone(), now_ms()));
        Ok(dated)
    }

    /// Finds another token than the one that was refused: what another process has fetched since, or a new one.
    fn recover(
        &mut self,
        shared: &dyn Shared,
        now_ms: impl Fn() -> u64,
        fetch: impl Fn(&AuthTable) -> Result<printed::Token, Error>,
    ) -> Recovery {
        let Some((refused, given_at_ms)) = self.given.clone() else {
            return Recovery::Unchanged;
        };
        let is_newer = |held: &Dated| {
            held.token != refused.token && held.is_good(now_ms())
                || held.fetched_at_ms > given_at_ms
        };
        match self.shared_or_new(shared, &now_ms, fetch, is_newer) {
            Err(error) => Recovery::Transient(error.to_string()),
            Ok(dated) if dated.token == refused.token => Recovery::Unchanged,
            Ok(dated) => {
                self.fetched = Some(dated);
                Recovery::Changed
            }
        }
    }

    /// What others share, if it will do, or what the command prints: it runs once, however many want that.
    fn shared_or_new(
        &mut self,
        shared: &dyn Shared,
        now_ms: impl Fn() -> u64,
        fetch: impl Fn(&AuthTable) -> Result<printed::Token, Error>,
        will_do: impl Fn(&Dated) -> bool,
    ) -> Result<Dated, Error> {
        let held = |newest: &Option<Dated>| {
            let held = shared.read().filter(&will_do);
            held.or_else(|| newest.clone().filter(&will_do))
        };
        if let Some(held) = held(&self.newest) {
            return Ok(held);
        }
        let _lock = shared.lock(&self.auth.provider_id);
        if let Some(held) = held(&self.newest) {
            return Ok(held);
        }
        let token = fetch(&self.auth)?;
        let dated = Dated::new(token, now_ms(), self.auth.refresh_interval_ms);
        shared.write(&dated);
        self.newest = Some(dated.clone());
        Ok(dated)
    }
}

/// What was configured, by provider id and by what requests are for: a list of models is asked for beside a turn, and may
/// have got another token meanwhile than the one with which the turn is refused.
#[derive(Debug, Default)]
struct CommandAuth {
    served: BTreeMap<String, Vec<(Purpose, Served)>>,
}

impl Provider for CommandAuth {
    fn describe(&self) -> Description {
        Description {
            // No ids: it serves every table with an `auth` block.
            name: "Command auth".to_owned(),
            default_endpoint: Some(DEFAULT_BASE_URL.to_owned()),
            capabilities: USUAL_CAPABILITIES,
            ..Description::default()
        }
    }

    fn configure(
        &mut self,
        provider_id: &str,
        table: &Map<String, Value>,
    ) -> Result<Endpoint, Error> {
        let table = with_inline_token(table, secrets::exists(ProviderTable::INLINE_TOKEN)?);
        let table = ProviderTable::parse(provider_id, &table)?;
        let auth = AuthTable::parse(&table)?;
        let mut endpoint = table.endpoint(Some(DEFAULT_BASE_URL), secrets::exists)?;
        endpoint.capabilities = table.capabilities(USUAL_CAPABILITIES);
        let served = vec![(Purpose::Turn, Served::new(auth))];
        self.served.insert(provider_id.to_owned(), served);
        Ok(endpoint)
    }

    fn prepare(&mut self, scope: &Scope) -> Result<Prepared, Error> {
        let served = self.served(scope)?;
        let dated = served.token(&Slot, clock::now_unix_ms, token::fetch)?;
        Ok(Prepared {
            headers: dated.token.headers(),
            expires_at_unix_ms: dated.good_until_ms,
        })
    }

    /// A gateway that answers 403 may mean the token as well as one that answers 401.
    fn classify(&self, status: u16, headers: &[PlainHeader], excerpt: &str) -> Failure {
        let failure = failure::classify(status, headers, excerpt);
        match (status, failure.kind) {
            (FORBIDDEN, FailureKind::Forbidden) => Failure {
                kind: FailureKind::Unauthorized,
                ..failure
            },
            _ => failure,
        }
    }

    /// Runs the command again, whatever the token's age, unless another process did since.
    fn recover(&mut self, scope: &Scope, _failure: &Failure) -> Result<Recovery, Error> {
        let served = self.served(scope)?;
        Ok(served.recover(&Slot, clock::now_unix_ms, token::fetch))
    }
}

impl CommandAuth {
    /// What requests of a scope are served with. The newest token is everybody's.
    fn served(&mut self, scope: &Scope) -> Result<&mut Served, Error> {
        let id = &scope.provider_id;
        let served = self.served.get_mut(id);
        let served =
            served.ok_or_else(|| Error::Other(format!("provider `{id}` is not configured")))?;
        let newest = served.iter().filter_map(|(_, other)| other.newest.as_ref());
        let newest = newest.max_by_key(|dated| dated.fetched_at_ms).cloned();
        let found = served.iter().position(|(known, _)| *known == scope.purpose);
        let at = found.unwrap_or_else(|| {
            let auth = served[0].1.auth.clone();
            served.push((scope.purpose, Served::new(auth)));
            served.len() - 1
        });
        let served = &mut served[at].1;
        served.newest = newest;
        Ok(served)
    }
}

/// Puts back that there is an inline token, which the host keeps for itself: next to `auth` it is a contradiction.
fn with_inline_token(table: &Map<String, Value>, exists: bool) -> Map<String, Value> {
    let mut table = table.clone();
    if exists {
        table.insert(
            "experimental_bearer_token".to_owned(),
            json!("kept by the host"),
        );
    }
    table
}

export_provider!(CommandAuth);

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use dovetail_plugin_api::credentials::Lock;

    use super::*;

    const NOW: u64 = 1_767_323_045_000;

    /// What processes share, if they do, with a clock and a command that counts its runs.
    struct World {
        shares: bool,
        held: RefCell<Option<Dated>>,
        now_ms: Cell<u64>,
        runs: Cell<u32>,
        /// What the command prints, with the number of the run after it.
        prints: &'static str,
    }

    impl World {
        fn new(shares: bool) -> Self {
            Self {
                shares,
                held: RefCell::default(),
                now_ms: Cell::new(NOW),
                runs: Cell::new(0),
                prints: "t",
            }
        }

        fn token(&self, process: &mut Served) -> printed::Token {
            let dated = process.token(self, || self.now_ms.get(), |auth| self.run(auth));
            dated.expect("a token").token
        }

        fn recover(&self, process: &mut Served) -> Recovery {
            process.recover(self, || self.now_ms.get(), |auth| self.run(auth))
        }

        fn run(&self, _auth: &AuthTable) -> Result<printed::Token, Error> {
            self.runs.set(self.runs.get() + 1);
            let number = if self.prints == "t" {
                self.runs.get()
            } else {
                0
            };
            let token = printed::Token::read(format!("{}-{number}", self.prints).as_bytes());
            Ok(token.expect("a token"))
        }

        fn passes(&self, ms: u64) {
            self.now_ms.set(self.now_ms.get() + ms);
        }
    }

    impl Shared for World {
        fn read(&self) -> Option<Dated> {
            self.held.borrow().clone().filter(|_| self.shares)
        }

        fn write(&self, dated: &Dated) {
            self.held.replace(Some(dated.clone()));
        }

        fn lock(&self, _provider_id: &str) -> Option<Lock> {
            None
        }
    }

    fn processes() -> [Served; 3] {
        std::array::from_fn(|_| {
            let table = json!({ "name": "Corp", "auth": { "command": "t" } });
            let table = ProviderTable::parse("corp", table.as_object().expect("a table"));
            Served {
                auth: AuthTable::parse(&table.expect("valid")).expect("valid"),
                given: None,
                newest: None,
                fetched: None,
            }
        })
    }

    #[test]
    fn a_command_runs_once_for_all_processes_until_its_token_is_old() {
        let world = World::new(true);
        let mut processes = processes();
        for run in 1..=2 {
            let given = processes.each_mut().map(|process| world.token(process));
            assert!(given.iter().all(|token| *token == given[0]), "{given:?}");
            assert_eq!(world.runs.get(), run);
            world.passes(300_000);
        }
    }

    #[test]
    fn a_refused_token_is_replaced_by_one_run_for_all() {
        let world = World::new(true);
        let mut processes = processes();
        let first = processes.each_mut().map(|process| world.token(process));
        world.passes(1_000);
        for process in &mut processes {
            assert_eq!(world.recover(process), Recovery::Changed);
        }
        let second = processes.each_mut().map(|process| world.token(process));
        assert_ne!(first, second);
        assert_eq!(world.runs.get(), 2);
    }

    #[test]
    fn a_command_that_prints_the_refused_token_again_is_not_asked_by_everybody() {
        let world = World {
            prints: "same",
            ..World::new(true)
        };
        let mut processes = processes();
        for process in &mut processes {
            world.token(process);
        }
        world.passes(1_000);
        for process in &mut processes {
            assert_eq!(world.recover(process), Recovery::Unchanged);
        }
        assert_eq!(world.runs.get(), 2);
    }

    #[test]
    fn where_nothing_can_be_shared_the_threads_of_a_process_still_share() {
        let world = World::new(false);
        let [mut process, mut other, _] = processes();
        let given = [world.token(&mut process), world.token(&mut process)];
        assert_eq!(given[0], given[1]);
        assert_eq!(world.runs.get(), 1);
        world.token(&mut other);
        assert_eq!(world.runs.get(), 2);
        world.passes(1_000);
        assert_eq!(world.recover(&mut process), Recovery::Changed);
        assert_eq!(world.runs.get(), 3);
    }

    #[test]
    fn an_inline_token_contradicts_a_command() {
        let table = json!({ "name": "Corp", "auth": { "command": "t" } });
        let table = with_inline_token(table.as_object().expect("a table"), true);
        let error = ProviderTable::parse("corp", &table).expect_err("a contradiction");
        assert_eq!(
            error.to_string(),
            "model_providers.corp: auth cannot be combined with experimental_bearer_token"
        );
    }

    #[test]
    fn an_instance_that_was_not_configured_says_so() {
        let scope = Scope {
            provider_id: "corp".to_owned(),
            purpose: Purpose::Turn,
            session_source: "exec".to_owned(),
            policy: "strict".to_owned(),
        };
        let outcome = CommandAuth::default().prepare(&scope);
        assert_eq!(
            outcome,
            Err(Error::other("provider `corp` is not configured"))
        );
    }
}
