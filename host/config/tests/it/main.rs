//! Configuration files in, one resolved value or one helpful error out.

mod agents_md;
mod auth;
mod errors;
mod explain;
mod features;
mod layers;
mod models;
mod providers;
mod reference;
mod schema;
mod show;
mod speed;
mod stage;
mod trust;
