//! Loads plugins, enforces grants, owns instances

// What a plugin is, asks for and gets.
pub mod argv;
pub mod capability;
mod capability_toml;
pub mod explain;
pub mod fs_rule;
pub mod grant;
pub mod manifest;
mod manifest_file;
pub mod manifest_lines;
pub mod origin;
mod request_scope;

// Where plugins are, and whether they may run.
pub mod catalogue;
pub mod digest;
pub mod discovery;
pub mod drift;
pub mod lock;
mod lock_file;
pub mod pins;
pub mod plugin_dir;
pub mod plugin_settings;
pub mod policy;
mod private_file;
pub mod provenance;
pub mod stamp;
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
mod net_failure;
pub mod outside;
pub mod process;
pub mod secret_source;
pub mod secrets;

// What runs them.
mod account;
mod bindings;
pub mod cache;
mod capture;
mod convert;
pub mod engine;
mod event_line;
mod fs_guard;
mod guest_log;
mod guest_state;
mod health;
mod hooks;
mod imports;
pub mod inspect;
mod instance;
pub mod ledger;
pub mod link;
mod live;
mod live_ports;
pub mod load;
pub mod native;
pub mod news;
mod outbox;
pub mod plugin;
mod plugin_context;
mod provider;
mod provider_exports;
pub mod pump;
pub mod reload;
pub mod services;
mod sink;
mod sink_queue;
mod sink_worker;
pub mod stats;
mod tools;
mod waiting;
mod warm;
mod wasi_http;
pub mod watch;
mod wire;
