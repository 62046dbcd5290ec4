//! Loads plugins, enforces grants, owns instances

// What a plugin is, asks for and gets.
pub mod argv;
pub mod capability;
mod capability_toml;
pub mod fs_rule;
pub mod grant;
pub mod manifest;
mod manifest_file;
pub mod origin;

// Where plugins are, and whether they may run.
pub mod catalogue;
pub mod digest;
pub mod discovery;
pub mod lock;
mod lock_file;
pub mod plugin_dir;
mod private_file;
pub mod state;
mod toml_reader;
pub mod trust;

// What they do to the world.
mod address;
pub mod credentials;
pub mod egress;
pub mod host_env;
pub mod kv;
pub mod net;
pub mod process;
pub mod secret_source;
pub mod secrets;
