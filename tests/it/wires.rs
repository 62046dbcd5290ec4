//! Services that do not speak Responses: the wires that come along, and those of plugins.

mod breaking;
mod chat;
mod messages;
mod same_items;
mod server;
mod vendor;
