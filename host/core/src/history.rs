//! The conversation: append-only until it is compacted, and the one place where items get ids.

mod foreign;
mod images;
mod kept;
mod pairing;
mod said;
mod stamp;

use std::sync::Arc;
use std::time::SystemTime;

use crate::ids::TurnId;
use crate::item::ResponseItem;

pub use foreign::ProviderTrail;
pub use kept::is_kept_form_of;
pub use pairing::{CallPart, call_part};
pub use said::is_user_input;

/// The items of a thread, as the model will see them.
#[derive(Debug, Clone, Default)]
pub struct History {
    items: Vec<Arc<ResponseItem>>,
}

/// A list of items that a request shares with the history.
pub type SharedItems = Arc<[Arc<ResponseItem>]>;

impl History {
    /// Takes up a conversation that was kept on disk, to go on with it at `provider`. What only another provider can
    /// read is left out, of the conversation and not of the file.
    pub fn resume(items: Vec<ResponseItem>, trail: &ProviderTrail, provider: &str) -> Self {
        let items = foreign::readable(items, trail, provider);
        Self {
            items: items.into_iter().map(Arc::new).collect(),
        }
    }

    /// Appends an item: gives it an id if it has none, and stamps it with its turn.
    pub fn push(
        &mut self,
        mut item: ResponseItem,
        turn_id: TurnId,
        now: SystemTime,
    ) -> Arc<ResponseItem> {
        item.ensure_id();
        stamp::stamp(&mut item, turn_id, now);
        let item = Arc::new(item);
        self.items.push(Arc::clone(&item));
        item
    }

    /// Gives an item what it needs to be part of a new beginning, see [`Self::replace`]: an id and its turn. It has no
    /// time, since it was said before.
    pub fn admit(mut item: ResponseItem, turn_id: TurnId) -> Arc<ResponseItem> {
        item.ensure_id();
        stamp::stamp_turn(&mut item, turn_id);
        Arc::new(item)
    }

    /// Begins anew, with what a compaction left of the conversation.
    pub fn replace(&mut self, items: Vec<Arc<ResponseItem>>) {
        self.items = items;
    }

    /// All items.
    pub fn items(&self) -> &[Arc<ResponseItem>] {
        &self.items
    }

    /// The items as a request may hold them: every call has one output behind it and every output a call before it,
    /// and for a model that cannot look at images there are none.
    ///
    /// A process that died between a call and its output leaves a gap that services refuse.
    pub fn for_request(&self, image_input: bool) -> SharedItems {
        self.for_request_without(0, image_input)
    }

    /// The same without the oldest so many items, and without outputs whose calls were among them.
    pub fn for_request_without(&self, oldest: usize, image_input: bool) -> SharedItems {
        let items = pairing::paired(self.items.get(oldest..).unwrap_or_default());
        if image_input {
            items
        } else {
            images::without(&items)
        }
    }

    /// The first place from here on at which there is no output of a tool: outputs belong to what is before them.
    pub(crate) fn after_outputs(&self, from: usize) -> usize {
        let rest = self.items.get(from..).unwrap_or_default();
        from + rest
            .iter()
            .take_while(|item| pairing::is_output(item))
            .count()
    }

    /// Forgets every image, for a service that refuses one of them and does not say which. Says whether there was any.
    pub fn forget_images(&mut self) -> bool {
        images::forget(&mut self.items)
    }

    /// Whether the user's words of a turn came with an image.
    pub fn shows_image(&self, turn_id: TurnId) -> bool {
        let turn_id = turn_id.to_string();
        let own = |item: &ResponseItem| item.turn_id() == Some(&turn_id);
        self.items.iter().any(|item| {
            matches!(&**item, ResponseItem::Message { role, .. } if role == "user")
                && own(item)
                && images::in_item(item)
        })
    }

    /// Forgets everything that is encrypted, for a service that cannot read it any more. Says whether there was any.
    pub fn forget_encrypted(&mut self) -> bool {
        let before = self.items.len();
        let mut replaced = false;
        self.items.retain_mut(|item| match foreign::unsealed(item) {
            foreign::Unsealed::Same => true,
            foreign::Unsealed::Nothing => false,
            foreign::Unsealed::Instead(note) => {
                *item = Arc::new(*note);
                replaced = true;
                true
            }
        });
        replaced || self.items.len() != before
    }
}
