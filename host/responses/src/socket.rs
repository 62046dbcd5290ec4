//! Requests over a WebSocket.
//!
//! One connection carries the requests of a thread, one after the other. The server remembers what it answered on it, so
//! a request that goes on from the last one says only what is new. A connection that an answer did not end well on is
//! closed: the next request opens another and says everything. Between two answers somebody listens, so that pings are
//! answered and a server that hangs up is noticed. Where no connection can be had, requests go over HTTP from then on.

mod answer;
mod connection;
mod continuation;
mod handshake;
mod hosts;
mod idle;
mod refusal;
mod wire;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use dovetail_core::model::{FailureStage, ModelError, ModelRequest, ModelStream};
use reqwest::Client;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::answer::Answer;
use self::connection::Connection;
use self::continuation::Question;
use self::handshake::Unopened;
pub use self::hosts::PlainHosts;
use self::idle::Idle;
use crate::body::{self, Form, Known};
use crate::client::WebSocketOptions;
use crate::service::Service;
use crate::{failure, transport};

/// How long a server may take to make ready. One that does not know what it is asked for must not hold a turn up.
const WARM_UP_PATIENCE: Duration = Duration::from_secs(5);

/// What became of a request.
pub(crate) enum Asked {
    /// It is being answered.
    Answered(ModelStream),
    /// The service wants it over HTTP.
    SentToHttp,
}

/// A service asked over WebSockets.
pub(crate) struct Sockets {
    opener: Arc<Opener>,
    slot: Arc<Slot>,
    /// Whether requests go over HTTP from now on.
    given_up: AtomicBool,
    /// Whether that is because no connection could be had.
    unopened: AtomicBool,
}

/// Makes connections.
struct Opener {
    service: Arc<Service>,
    options: WebSocketOptions,
    client: OnceLock<Client>,
}

/// The connection between two requests.
#[derive(Default)]
pub(crate) struct Slot(Mutex<Kept>);

#[derive(Default)]
enum Kept {
    #[default]
    Nothing,
    Warming(AbortOnDropHandle<Result<Option<Connection>, Unopened>>),
    Idle(Idle),
}

impl Sockets {
    /// Connects to nothing yet.
    pub(crate) fn new(service: Arc<Service>, options: WebSocketOptions) -> Self {
        let known = options.plain_hosts.contains(&service.url);
        Self {
            opener: Arc::new(Opener {
                service,
                options,
                client: OnceLock::new(),
            }),
            slot: Arc::default(),
            given_up: AtomicBool::new(known),
            unopened: AtomicBool::new(false),
        }
    }

    /// Whether requests are to be sent this way.
    pub(crate) fn in_use(&self) -> bool {
        !self.given_up.load(Ordering::Relaxed)
    }

    /// Sends everything over HTTP from now on. False where that is so already.
    pub(crate) fn give_up(&self) -> bool {
        if self.given_up.swap(true, Ordering::Relaxed) {
            return false;
        }
        if self.unopened.load(Ordering::Relaxed) {
            let Opener {
                service, options, ..
            } = &*self.opener;
            options.plain_hosts.remember(&service.url);
        }
        self.slot.take();
        true
    }

    /// Opens a connection and lets the server make ready, beside whatever else goes on.
    pub(crate) fn warm_up(&self, beginning: &ModelRequest) {
        let (opener, beginning) = (Arc::clone(&self.opener), beginning.clone());
        let warming = tokio::spawn(async move { opener.open_warm(beginning).await });
        self.slot
            .put(Kept::Warming(AbortOnDropHandle::new(warming)));
    }

    /// Sends a request, and answers with its stream once the response has begun.
    ///
    /// A connection that ended while nobody used it is replaced without a word, and so is one that the server does not
    /// want to go on with.
    pub(crate) async fn ask(
        &self,
        request: &ModelRequest,
        cancel: &CancellationToken,
    ) -> Result<Asked, ModelError> {
        let mut kept = match self.slot.take_connection().await {
            Ok(kept) => kept,
            Err(unopened) => return self.settle(unopened),
        };
        let mut may_replace = true;
        loop {
            let (mut connection, used) = match kept.take() {
                Some(connection) => (connection, true),
                None => match self.opener.open(request).await {
                    Ok(connection) => (connection, false),
                    Err(unopened) => return self.settle(unopened),
                },
            };
            let first = self.opener.begin(&mut connection, request).await;
            let replace = match &first {
                Ok(heard) => heard.wants_another_connection(),
                Err(lost) => used && lost.is_of_connection(),
            };
            if replace && may_replace {
                tracing::debug!("the WebSocket is replaced, the request is sent again as a whole");
                may_replace = false;
                continue;
            }
            let service = &self.opener.service;
            let first = match first {
                Ok(heard) => heard.into_signal(&connection.login, service).await?,
                Err(lost) => return Err(lost.into_error(&connection.login)),
            };
            let slot = Arc::clone(&self.slot);
            let (service, request) = (Arc::clone(service), request.clone());
            let answer = Answer::new(connection, service, request, first, slot, cancel.clone());
            return Ok(Asked::Answered(answer.into_stream()));
        }
    }

    /// What to do without a connection.
    fn settle(&self, unopened: Unopened) -> Result<Asked, ModelError> {
        match unopened {
            Unopened::Unwanted => {
                self.unopened.store(true, Ordering::Relaxed);
                self.give_up();
                Ok(Asked::SentToHttp)
            }
            Unopened::Failed(error) => {
                let unopened = error.stage == FailureStage::Upgrade;
                self.unopened.store(unopened, Ordering::Relaxed);
                Err(*error)
            }
        }
    }
}

impl Opener {
    async fn open(&self, request: &ModelRequest) -> Result<Connection, Unopened> {
        let client = self.client()?;
        let limit = self.options.connect_timeout;
        handshake::open(&self.service, client, request, limit).await
    }

    /// The HTTP client of upgrades, made when it is first needed.
    fn client(&self) -> Result<&Client, ModelError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client =
            transport::build_for_upgrades(&self.service.url).map_err(failure::unprepared)?;
        Ok(self.client.get_or_init(|| client))
    }

    /// A connection whose server knows what requests begin with; none where that did not work out, which is no failure.
    async fn open_warm(&self, beginning: ModelRequest) -> Result<Option<Connection>, Unopened> {
        let mut connection = self.open(&beginning).await?;
        let message = self.message(&beginning, None, false)?;
        let patience = WARM_UP_PATIENCE.min(self.service.options.idle_timeout);
        let ready = tokio::time::timeout(patience, connection.warm_up(message));
        match ready.await {
            Ok(Ok(response_id)) => {
                connection.answered = Question::new(beginning).answered(response_id);
                Ok(Some(connection))
            }
            // What was said instead may repeat the credential: it is nothing for a log.
            Ok(Err(_)) | Err(_) => {
                tracing::debug!("the service did not make ready");
                Ok(None)
            }
        }
    }

    /// Sends a request on a connection and waits for the first that is heard of it.
    async fn begin(
        &self,
        connection: &mut Connection,
        request: &ModelRequest,
    ) -> Result<wire::Heard, wire::Lost> {
        let answered = connection.answered.take();
        let known = answered.as_ref().and_then(|answered| {
            let items = answered.items_known(request)?;
            Some(Known {
                response_id: answered.response_id(),
                items,
            })
        });
        let message = self.message(request, known, true)?;
        let limit = self.service.options.idle_timeout;
        connection.wire.send(message, limit).await?;
        connection.wire.hear(limit).await
    }

    fn message(
        &self,
        request: &ModelRequest,
        known: Option<Known<'_>>,
        generate: bool,
    ) -> Result<Vec<u8>, ModelError> {
        let form = Form::Message {
            known,
            generate,
            sent: SystemTime::now(),
        };
        body::encode(request, self.service.capabilities.item_metadata, form)
            .map_err(|error| failure::unwritable(&error))
    }
}

impl Slot {
    fn take(&self) -> Kept {
        self.put(Kept::Nothing)
    }

    fn put(&self, kept: Kept) -> Kept {
        // A panic elsewhere leaves a connection that is whole, or none.
        std::mem::replace(
            &mut self.0.lock().unwrap_or_else(PoisonError::into_inner),
            kept,
        )
    }

    /// Keeps a connection for the next request, in place of any that is kept.
    fn keep(&self, connection: Connection) {
        self.put(Kept::Idle(Idle::listen(connection)));
    }

    /// The connection that is kept, if it is still there.
    async fn take_connection(&self) -> Result<Option<Connection>, Unopened> {
        match self.take() {
            Kept::Nothing => Ok(None),
            Kept::Idle(idle) => Ok(idle.take().await),
            // A task that panicked has said so; the request does without what it was to do.
            Kept::Warming(warming) => warming.await.unwrap_or(Ok(None)),
        }
    }
}
