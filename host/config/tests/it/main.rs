//! Configuration files in, one resolved value or one helpful error out.

mod agents_md;
mod auth;
mod errors;
mod layers;
mod show;
mod speed;
mod stage;
mod trust;
