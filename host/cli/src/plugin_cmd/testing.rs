//! A world to try the commands in.

#![expect(
    clippy::panic,
    reason = "a test that gets something else ends that way"
)]

use std::fs;

use clap::Parser as _;
use dovetail_runtime::discovery::Project;
use serde_json::Value;

use super::*;

/// A component that exports an empty interface, which is all that can be known of it without running it.
pub(super) fn component(interface: &str) -> Vec<u8> {
    let name = format!("dovetail:plugin/{interface}@0.1.0");
    let length = u8::try_from(name.len()).expect("a short name");
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    // An instance made of no exports.
    bytes.extend([5, 3, 1, 1, 0]);
    // One export: name, sort (instance), index, no type.
    bytes.extend([11, length + 6, 1, 0, length]);
    bytes.extend(name.as_bytes());
    bytes.extend([5, 0, 0]);
    bytes
}

pub(super) struct World {
    pub(super) root: tempfile::TempDir,
    pub(super) context: PluginContext,
}

impl World {
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        let path = root.path().canonicalize().expect("it exists");
        fs::create_dir_all(path.join("project")).expect("made");
        let places = Places {
            builtins: Vec::new(),
            system_dir: path.join("system"),
            own_dir: path.join("home/dovetail"),
            project: Some(Project {
                root: path.join("project"),
                trusted: true,
            }),
        };
        let context = PluginContext {
            places,
            settings: PluginSettings::default(),
            keys: BTreeMap::new(),
            sources: BTreeMap::new(),
            configs: BTreeMap::new(),
            // These components have a shell and nothing in it.
            compiled: None,
            home: path.join("home"),
            cwd: path.clone(),
        };
        Self { root, context }
    }

    /// Writes a folder that can be installed.
    pub(super) fn package(&self, id: &str, kind: &str, request: &str) {
        let dir = self.context.cwd.join("packages").join(id);
        fs::create_dir_all(&dir).expect("made");
        let manifest = format!(
            "id = \"{id}\"\nversion = \"1.2.0\"\napi = \"^0.1\"\nkinds = [\"{kind}\"]\n[request]\n{request}"
        );
        fs::write(dir.join("plugin.toml"), manifest).expect("written");
        fs::write(dir.join(format!("{id}.wasm")), component(kind)).expect("written");
    }

    /// What a command prints, or its error and hints as they are shown.
    pub(super) fn run(&self, line: &str) -> Result<String, String> {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: PluginArgs,
        }
        let words = std::iter::once("plugin").chain(line.split(' '));
        let args = Line::try_parse_from(words)
            .map_err(|error| error.to_string())?
            .args;
        let runtime = tokio::runtime::Runtime::new().expect("a tokio runtime");
        self.answer(runtime.block_on(dispatch(args, &self.context)))
    }

    /// The same for `dovetail trust`.
    pub(super) fn trust(&self, line: &str) -> Result<String, String> {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: trust::TrustArgs,
        }
        let words = std::iter::once("trust").chain(line.split(' '));
        let args = Line::try_parse_from(words)
            .map_err(|error| error.to_string())?
            .args;
        self.answer(trust::dispatch(args, &self.context))
    }

    fn answer(&self, done: anyhow::Result<Done>) -> Result<String, String> {
        let done = done.map_err(|error| crate::fatal::text(&error))?;
        let root = self.context.cwd.display().to_string();
        Ok(done.text.replace(&root, "…"))
    }

    pub(super) fn ok(&self, line: &str) -> String {
        self.run(line)
            .unwrap_or_else(|error| panic!("`{line}`: {error}"))
    }

    pub(super) fn error(&self, line: &str) -> String {
        let error = self.run(line).expect_err("it fails");
        error.replace(&self.context.cwd.display().to_string(), "…")
    }

    pub(super) fn state(&self, id: &str) -> String {
        let list: Value = serde_json::from_str(&self.ok("list --json")).expect("it is JSON");
        let plugins = list["plugins"].as_array().expect("a list");
        let found = plugins.iter().find(|plugin| plugin["id"] == id);
        found.map_or("absent".to_owned(), |plugin| {
            plugin["state"].as_str().expect("a text").to_owned()
        })
    }
}
