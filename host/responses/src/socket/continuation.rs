//! Whether a request goes on from the last one, so that only what is new has to be said.
//!
//! It does where nothing but its conversation differs, and that begins with what the last request said and what was
//! answered to it. Anything else is said as a whole: a server that goes on from something else gives wrong answers, and
//! nobody would notice.

use std::sync::Arc;

use dovetail_core::history::is_kept_form_of;
use dovetail_core::item::ResponseItem;
use dovetail_core::model::{ModelEvent, ModelRequest};

/// A request that is being answered.
pub(super) struct Question {
    request: ModelRequest,
    /// What was answered so far; none once something was lost.
    output: Option<Vec<ResponseItem>>,
}

/// A request and its whole answer.
pub(super) struct Answered {
    request: ModelRequest,
    response_id: String,
    output: Vec<ResponseItem>,
}

impl Question {
    pub(super) fn new(request: ModelRequest) -> Self {
        Self {
            request,
            output: Some(Vec::new()),
        }
    }

    /// Takes note of an event of the answer.
    pub(super) fn note(&mut self, event: &ModelEvent) {
        match event {
            ModelEvent::ItemDone(item) => {
                if let Some(output) = &mut self.output {
                    output.push(ResponseItem::clone(item));
                }
            }
            ModelEvent::ItemLost(_) => self.output = None,
            ModelEvent::Created
            | ModelEvent::TurnState(_)
            | ModelEvent::RateLimits(_)
            | ModelEvent::ServerModel(_)
            | ModelEvent::ModelsEtag(_)
            | ModelEvent::ReasoningIncluded
            | ModelEvent::ItemAdded { .. }
            | ModelEvent::TextDelta(_)
            | ModelEvent::ReasoningDelta(_)
            | ModelEvent::Completed { .. } => {}
        }
    }

    /// The end of the answer; none where nothing can go on from it.
    pub(super) fn answered(self, response_id: String) -> Option<Answered> {
        let output = self.output.filter(|_| !response_id.is_empty())?;
        Some(Answered {
            request: self.request,
            response_id,
            output,
        })
    }
}

impl Answered {
    /// The response that a request goes on from.
    pub(super) fn response_id(&self) -> &str {
        &self.response_id
    }

    /// How many items of a request's conversation the server has; none where it does not go on from this.
    pub(super) fn items_known(&self, request: &ModelRequest) -> Option<usize> {
        if !is_alike(&self.request, request) {
            return None;
        }
        let said = self.request.input.len();
        let known = said + self.output.len();
        let (old, rest) = request.input.split_at_checked(said)?;
        let answer = rest.get(..self.output.len())?;
        let same = old.iter().zip(self.request.input.iter()).all(is_same)
            && answer
                .iter()
                .zip(&self.output)
                .all(|(kept, said)| is_kept_form_of(kept, said));
        same.then_some(known)
    }
}

/// Whether two requests differ in nothing but their conversation. What they say of themselves may differ: that is of
/// each request.
fn is_alike(last: &ModelRequest, next: &ModelRequest) -> bool {
    let ModelRequest {
        model,
        instructions,
        input: _,
        tools,
        tools_item_id,
        web_search,
        parallel_tool_calls,
        reasoning,
        text,
        service_tier,
        prompt_cache_key,
        metadata: _,
        turn_state: _,
    } = last;
    *model == next.model
        && is_same((instructions, &next.instructions))
        && (Arc::ptr_eq(tools, &next.tools) || *tools == next.tools)
        && *tools_item_id == next.tools_item_id
        && *web_search == next.web_search
        && *parallel_tool_calls == next.parallel_tool_calls
        && *reasoning == next.reasoning
        && *text == next.text
        && *service_tier == next.service_tier
        && *prompt_cache_key == next.prompt_cache_key
}

/// Whether two items are the same; those of a history that only grew are the same object.
fn is_same((one, other): (&Arc<ResponseItem>, &Arc<ResponseItem>)) -> bool {
    Arc::ptr_eq(one, other) || one == other
}
