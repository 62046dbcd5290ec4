//! A home, a system file and a project on disk.

use std::path::{Path, PathBuf};

use dovetail_config::{Config, ConfigError, LoadRequest, Override, load};

pub(crate) struct Stage {
    dir: tempfile::TempDir,
    overrides: Vec<Override>,
    profile: Option<String>,
    strict: bool,
    ignore_user: bool,
    cwd: PathBuf,
    home: PathBuf,
    system: PathBuf,
    managed: [PathBuf; 2],
}

impl Stage {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let cwd = dir.path().join("project/inner");
        std::fs::create_dir_all(&cwd).expect("directories");
        std::fs::create_dir(dir.path().join("project/.git")).expect("a directory");
        std::fs::create_dir(dir.path().join("home")).expect("a directory");
        let at = |name: &str| dir.path().join(name);
        Self {
            home: at("home"),
            system: at("system.toml"),
            managed: [at("managed.toml"), at("managed2.toml")],
            dir,
            overrides: Vec::new(),
            profile: None,
            strict: false,
            ignore_user: false,
            cwd,
        }
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.path("home")
    }

    /// Writes a file; `$STAGE` in it stands for the stage's directory.
    pub(crate) fn file(self, relative: &str, text: &str) -> Self {
        let path = self.path(relative);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        std::fs::write(
            &path,
            text.replace("$STAGE", self.dir.path().to_str().expect("text")),
        )
        .expect("a file");
        self
    }

    pub(crate) fn user(self, text: &str) -> Self {
        self.file("home/config.toml", text)
    }

    /// The user's file, with trust in the project after it.
    pub(crate) fn trusting_user(self, text: &str) -> Self {
        self.user(&format!(
            "{text}\n[projects.\"$STAGE/project\"]\ntrust_level = \"trusted\"\n"
        ))
    }

    pub(crate) fn set(mut self, text: &str) -> Self {
        self.overrides
            .push(Override::parse(text).expect("an override"));
        self
    }

    pub(crate) fn flag(mut self, flag: Override) -> Self {
        self.overrides.push(flag);
        self
    }

    pub(crate) fn profile(mut self, name: &str) -> Self {
        self.profile = Some(name.to_owned());
        self
    }

    pub(crate) fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    pub(crate) fn ignoring_user(mut self) -> Self {
        self.ignore_user = true;
        self
    }

    pub(crate) fn cwd(&self) -> &Path {
        &self.cwd
    }

    pub(crate) fn try_load(&self) -> Result<Config, ConfigError> {
        load(&self.request_in(&self.cwd))
    }

    /// What loads it for a working directory.
    pub(crate) fn request_in<'s>(&'s self, cwd: &'s Path) -> LoadRequest<'s> {
        LoadRequest {
            home: &self.home,
            cwd,
            system: &self.system,
            profile: self.profile.as_deref(),
            overrides: &self.overrides,
            managed: &self.managed,
            strict: self.strict,
            ignore_user: self.ignore_user,
        }
    }

    pub(crate) fn load(&self) -> Config {
        self.try_load().expect("it loads")
    }

    /// An error with its hint, the stage's directory replaced.
    pub(crate) fn error(&self) -> String {
        let error = self.try_load().expect_err("it must be refused");
        let hint = error
            .hint()
            .map(|hint| format!("\nhint: {hint}"))
            .unwrap_or_default();
        self.normal(&format!("{error}{hint}"))
    }

    pub(crate) fn normal(&self, text: &str) -> String {
        text.replace(self.dir.path().to_str().expect("text"), "$STAGE")
    }
}
