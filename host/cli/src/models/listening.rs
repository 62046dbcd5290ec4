//! A client for a model that tells who keeps the list of models what its answers tell of that list.

use std::sync::Arc;

use async_trait::async_trait;
use dovetail_core::model::{
    FailureStage, ModelClient, ModelError, ModelEvent, ModelRequest, ModelStream,
};
use dovetail_core::plugin::Recovery;
use dovetail_core::retry::RecoveryStep;
use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::online::{Heard, Online};

/// The client around which it listens.
pub(crate) struct Listening<C> {
    client: C,
    heard: Arc<watch::Sender<Heard>>,
}

impl<C: ModelClient> Listening<C> {
    /// Listens for whoever keeps the list.
    pub(crate) fn new(client: C, online: &Online) -> Self {
        Self {
            client,
            heard: online.heard(),
        }
    }
}

/// Whether a server took a request for what it is: also one that it could not answer.
fn is_answer(error: &ModelError) -> bool {
    matches!(error.stage, FailureStage::Status(status) if status != 401 && status != 403)
}

#[async_trait]
impl<C: ModelClient> ModelClient for Listening<C> {
    async fn send(
        &self,
        request: &ModelRequest,
        cancel: &CancellationToken,
    ) -> Result<ModelStream, ModelError> {
        let answer = self.client.send(request, cancel).await;
        if answer.as_ref().err().is_none_or(is_answer) {
            self.heard.send_if_modified(|heard| {
                let was = std::mem::replace(&mut heard.answered, true);
                !was
            });
        }
        let heard = Arc::clone(&self.heard);
        let listen = move |event: &Result<ModelEvent, ModelError>| {
            if let Ok(ModelEvent::ModelsEtag(tag)) = event {
                heard.send_modify(|heard| heard.tag = Some(tag.clone()));
            }
        };
        Ok(answer?.inspect(listen).boxed())
    }

    async fn recover(&self, failure: &ModelError, step: RecoveryStep) -> Recovery {
        self.client.recover(failure, step).await
    }

    fn warm_up(&self, beginning: &ModelRequest) {
        self.client.warm_up(beginning);
    }

    fn fall_back(&self) -> bool {
        self.client.fall_back()
    }
}
