//! Looking at a service without asking its model anything: the credential that requests carry, and how it answers.

use std::sync::atomic::Ordering;

use dovetail_core::model::ModelError;

use crate::client::ResponsesClient;

impl ResponsesClient {
    /// Gets the credential that requests carry, and keeps it for the next one. The names of its headers are the answer:
    /// none where requests carry none, or are signed one by one.
    ///
    /// # Errors
    /// There is none, in the provider's words.
    pub async fn credential_headers(&self) -> Result<Vec<String>, ModelError> {
        let credential = self.service.credential().await?;
        let names = credential.headers.iter().map(|header| header.name.clone());
        Ok(names.collect())
    }

    /// Whether the last answer came as a stream, and not as one JSON document, which a wire reads as well.
    pub fn has_streamed(&self) -> bool {
        !self.http.in_one_piece.load(Ordering::Relaxed)
    }
}
