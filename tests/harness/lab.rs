//! A temporary home and project with a model server beside them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use dovetail_rehearsal::{RecordedRequest, RehearsalServer, Script};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::guests::Guest;
use crate::normal;
use crate::run::{Ran, Running, command};

/// The key that the default provider sends.
const KEY: &str = "test-key";

/// One test's own world.
#[derive(Debug)]
pub struct Lab {
    binary: &'static str,
    dir: TempDir,
    server: Option<RehearsalServer>,
    env: Vec<(String, String)>,
}

impl Lab {
    /// A world with a model that plays a script. The provider `rehearsal` is chosen and sends a key from the
    /// environment.
    pub async fn new(binary: &'static str, script: &str) -> Self {
        let mut lab = Self::bare(binary);
        lab.play(script).await;
        lab.write_config(&lab.provider_config(""));
        lab.set_env("REHEARSAL_KEY", KEY);
        lab
    }

    /// A world without a model and without configuration.
    pub fn bare(binary: &'static str) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("dovetail-lab-")
            .tempdir()
            .expect("a temporary directory");
        for name in ["home", "project", "user"] {
            fs::create_dir(dir.path().join(name)).expect("a directory");
        }
        Self {
            binary,
            dir,
            server: None,
            env: Vec::new(),
        }
    }

    /// Starts a model that plays a script, in place of the one there was.
    pub async fn play(&mut self, script: &str) {
        let script = Script::parse(script)
            .unwrap_or_else(|error| panic!("the script is wrong: {error}\n{script}"));
        self.server = Some(
            RehearsalServer::start(script)
                .await
                .expect("a loopback port"),
        );
    }

    /// The configuration that chooses the model server, with more lines for its table.
    pub fn provider_config(&self, more: &str) -> String {
        self.named_provider_config("rehearsal", "Rehearsal", more)
    }

    /// The same with another id and name for the provider.
    pub fn named_provider_config(&self, id: &str, name: &str, more: &str) -> String {
        let url = self.server().base_url();
        format!(
            "model = \"gpt-5.5\"\nmodel_provider = \"{id}\"\n\n[model_providers.{id}]\nname = \"{name}\"\n\
             base_url = \"{url}\"\nenv_key = \"REHEARSAL_KEY\"\nrequest_max_retries = 1\nstream_max_retries = 1\n{more}\n"
        )
    }

    /// The model server.
    pub fn server(&self) -> &RehearsalServer {
        self.server.as_ref().expect("this lab has a model")
    }

    /// The requests that the model got. Questions for its list of models, which some providers are asked beside, are none.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        let mut requests = self.server().requests();
        requests.retain(|request| request.method != "GET" || !is_list(&request.path));
        requests
    }

    /// The body of the newest request.
    #[track_caller]
    pub fn last_request(&self) -> Value {
        let requests = self.requests();
        let last = requests.last().expect("there was a request");
        last.json.clone().expect("its body is JSON")
    }

    /// What the model was last told a call's output is; text, or parts as JSON.
    #[track_caller]
    pub fn output_of(&self, call_id: &str) -> String {
        let request = self.last_request();
        let items = request["input"].as_array().expect("a list of items");
        let is_output = |item: &&Value| item["call_id"] == call_id && !item["output"].is_null();
        let mut outputs = items.iter().filter(is_output).map(|item| &item["output"]);
        let output = outputs
            .next()
            .unwrap_or_else(|| panic!("the model saw no output of `{call_id}`: {items:#?}"));
        assert_eq!(outputs.next(), None, "`{call_id}` has one result");
        output
            .as_str()
            .map_or_else(|| output.to_string(), str::to_owned)
    }

    /// Fails unless the whole script was played and every request was as it expects.
    #[track_caller]
    pub fn expect_played(&self) {
        let report = self.server().report();
        assert!(report.is_success(), "{report}");
    }

    /// `$CODEX_HOME`.
    pub fn home(&self) -> PathBuf {
        self.dir
            .path()
            .canonicalize()
            .expect("it is there")
            .join("home")
    }

    /// The working directory.
    pub fn project(&self) -> PathBuf {
        self.dir
            .path()
            .canonicalize()
            .expect("it is there")
            .join("project")
    }

    /// A directory that is neither: outside of everything that may be written.
    pub fn outside(&self) -> PathBuf {
        self.dir
            .path()
            .canonicalize()
            .expect("it is there")
            .join("user")
    }

    /// A text without what differs from run to run.
    pub fn normal(&self, text: &str) -> String {
        self.with_directories(|directories| normal::normal(text, directories))
    }

    /// A value without what differs from run to run.
    pub fn normal_json(&self, value: &Value) -> Value {
        self.with_directories(|directories| normal::normal_json(value, directories))
    }

    fn with_directories<T>(&self, act: impl FnOnce(&[(&str, &str)]) -> T) -> T {
        let [project, home, outside] =
            [self.project(), self.home(), self.outside()].map(|path| path.display().to_string());
        act(&[
            (&project, "/project"),
            (&home, "/home"),
            (&outside, "/outside"),
        ])
    }

    /// Sets a variable for every command from now on.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// Takes a variable away.
    pub fn remove_env(&mut self, name: &str) {
        self.env.retain(|(known, _)| known != name);
    }

    /// Makes the project a git work tree.
    pub fn init_git(&self) {
        self.git(&["init", "-q", "-b", "main"]);
    }

    /// Commits everything in the project, and names a remote.
    pub fn commit(&self, remote: &str) {
        self.git(&["add", "-A"]);
        let author = ["-c", "user.name=lab", "-c", "user.email=lab@localhost"];
        self.git(&[&author[..], &["commit", "-q", "-m", "all"]].concat());
        self.git(&["remote", "add", "origin", remote]);
    }

    fn git(&self, args: &[&str]) {
        let mut git = std::process::Command::new("git");
        git.args(args)
            .current_dir(self.project())
            .env("HOME", self.outside())
            .env("GIT_CONFIG_NOSYSTEM", "1");
        let output = git.output().expect("git runs");
        assert!(
            output.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Writes a file below the project and returns its path.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        write(&self.project().join(name), text)
    }

    /// Writes a file below `$CODEX_HOME` and returns its path.
    pub fn write_home(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        write(&self.home().join(name), text)
    }

    /// Replaces the user's `config.toml`.
    pub fn write_config(&self, text: &str) {
        self.write_home("config.toml", text);
    }

    /// Adds tables to the user's `config.toml`.
    pub fn add_config(&self, text: &str) {
        let before =
            fs::read_to_string(self.home().join("config.toml")).expect("there is a configuration");
        self.write_config(&format!("{before}\n{text}\n"));
    }

    /// Gives a plugin its configuration. Once per plugin.
    pub fn configure(&self, guest: &Guest, config: Value) {
        let value: Vec<String> = config
            .as_object()
            .expect("a table")
            .iter()
            .map(toml_pair)
            .collect();
        self.add_config(&format!(
            "[dovetail.plugins.{}]\nconfig = {{ {} }}",
            guest.id,
            value.join(", ")
        ));
    }

    /// Puts a plugin into the user's plugin directory, without granting it anything.
    pub fn drop_in(&self, guest: &Guest) -> PathBuf {
        self.drop_in_with(guest, guest.manifest)
    }

    /// The same with another manifest.
    pub fn drop_in_with(&self, guest: &Guest, manifest: &str) -> PathBuf {
        let dir = self.plugin_dir(guest);
        write(&dir.join("plugin.toml"), manifest);
        write(&dir.join(guest.file(manifest)), guest.wasm);
        // Whatever the test's own mask is: a native plugin is refused where others can write.
        for path in [dir.as_path(), dir.parent().expect("the plugins directory")] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        }
        for entry in fs::read_dir(&dir).expect("it is there").flatten() {
            let mode = fs::Permissions::from_mode(0o644);
            fs::set_permissions(entry.path(), mode).expect("it is ours");
        }
        dir
    }

    /// Where a user's plugin is.
    pub fn plugin_dir(&self, guest: &Guest) -> PathBuf {
        self.home().join("dovetail/plugins").join(guest.id)
    }

    /// Puts a plugin there and grants all it asks for.
    pub async fn install(&self, guest: &Guest) {
        self.install_with(guest, guest.manifest).await;
    }

    /// The same with another manifest.
    pub async fn install_with(&self, guest: &Guest, manifest: &str) {
        self.drop_in_with(guest, manifest);
        self.grant(guest).await;
    }

    /// Grants a plugin all it asks for.
    pub async fn grant(&self, guest: &Guest) {
        self.run(&["plugin", "grant", guest.id, "--yes"])
            .await
            .expect_code(0);
    }

    /// Runs the binary to its end, in the project.
    pub async fn run(&self, args: &[&str]) -> Ran {
        self.start(args).finish().await
    }

    /// Runs the binary to its end in another directory.
    pub async fn run_in(&self, dir: &Path, args: &[&str]) -> Ran {
        let mut command = self.command(args);
        command.current_dir(dir);
        Running::start(command).finish().await
    }

    /// Runs `exec --skip-git-repo-check` with more arguments.
    pub async fn exec(&self, args: &[&str]) -> Ran {
        self.start_exec(args).finish().await
    }

    /// Runs `exec --json` with more arguments, and expects an exit code.
    pub async fn exec_json(&self, args: &[&str], code: i32) -> Ran {
        self.exec(&[&["--json"], args].concat())
            .await
            .expect_code(code)
    }

    /// Starts `exec --skip-git-repo-check` with more arguments.
    pub fn start_exec(&self, args: &[&str]) -> Running {
        self.start(&[&["exec", "--skip-git-repo-check"], args].concat())
    }

    /// Starts the binary in the project.
    pub fn start(&self, args: &[&str]) -> Running {
        Running::start(self.command(args))
    }

    /// Starts the binary in the project, to be told things on its standard input.
    pub fn start_told(&self, args: &[&str]) -> Running {
        let mut command = self.command(args);
        command.stdin(Stdio::piped());
        Running::start(command)
    }

    /// Starts another program in this world.
    pub fn start_other(&self, program: &str, args: &[&str]) -> Running {
        Running::start(self.command_of(program, args))
    }

    /// Runs the binary with something on its standard input.
    pub async fn run_with_input(&self, args: &[&str], input: impl AsRef<[u8]>) -> Ran {
        let mut command = self.command(args);
        command.stdin(Stdio::piped());
        let mut running = Running::start(command);
        running.feed(input.as_ref()).await;
        running.finish().await
    }

    /// Runs another program in this world, with more variables and something on its standard input.
    pub async fn run_other(
        &self,
        program: &str,
        args: &[&str],
        env: &[(&str, &str)],
        input: &str,
    ) -> Ran {
        let mut command = self.command_of(program, args);
        command.envs(env.iter().copied()).stdin(Stdio::piped());
        let mut running = Running::start(command);
        running.feed(input.as_bytes()).await;
        running.finish().await
    }

    /// The variables that commands of this world have.
    pub fn variables(&self) -> BTreeMap<String, String> {
        let command = self.command(&[]);
        let variables = command.as_std().get_envs();
        let text = |text: &OsStr| text.to_str().expect("it is UTF-8").to_owned();
        variables
            .filter_map(|(name, value)| Some((text(name), text(value?))))
            .collect()
    }

    /// Waits until nobody writes the thread any more: its writer has ended.
    pub async fn released(&self) {
        let path = self.rollout();
        let waiting = tokio::task::spawn_blocking(move || {
            let file = fs::File::open(path).expect("it is there");
            file.lock().expect("locks work here");
        });
        waiting.await.expect("nothing panics in there");
    }

    pub(crate) fn command(&self, args: &[&str]) -> tokio::process::Command {
        self.command_of(self.binary, args)
    }

    fn command_of(&self, program: &str, args: &[&str]) -> tokio::process::Command {
        let mut command = command(program, &self.project(), &self.home());
        command.env("DOVETAIL_CACHE", shared_cache(self.binary));
        command.env("HOME", self.outside());
        // What processes of one user share in memory, they share within this lab.
        command.env("XDG_RUNTIME_DIR", self.dir.path());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.args(args);
        command
    }

    /// Where compiled plugins are, for commands that are not started through the lab.
    pub fn cache(&self) -> PathBuf {
        shared_cache(self.binary)
    }

    /// The rollout files of this home.
    pub fn rollouts(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        collect(&self.home().join("sessions"), &mut files);
        files.sort();
        files
    }

    /// The one rollout file of this home.
    #[track_caller]
    pub fn rollout(&self) -> PathBuf {
        match <[PathBuf; 1]>::try_from(self.rollouts()) {
            Ok([file]) => file,
            Err(files) => panic!("expected one rollout, found {files:?}"),
        }
    }

    /// The lines of that file.
    #[track_caller]
    pub fn rollout_lines(&self) -> Vec<Value> {
        read_lines(&self.rollout())
    }
}

fn is_list(path: &str) -> bool {
    path.split('?')
        .next()
        .is_some_and(|path| path.ends_with("/models"))
}

/// The lines of a file of JSON lines.
#[track_caller]
pub fn read_lines(path: &Path) -> Vec<Value> {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

fn toml_pair((key, value): (&String, &Value)) -> String {
    // Texts, numbers and truth values are the same in both languages.
    assert!(
        !value.is_object() && !value.is_null(),
        "{}",
        json!({ key.as_str(): value })
    );
    format!("{key} = {value}")
}

/// Where compiled plugins are kept beside a program, for all tests: what is in there is named by its content.
///
/// # Panics
/// It cannot be made.
pub fn shared_cache(binary: impl AsRef<Path>) -> PathBuf {
    let dir = binary.as_ref().with_file_name("dovetail-test-cache");
    match fs::DirBuilder::new().mode(0o700).create(&dir) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => panic!("cannot make {}: {error}", dir.display()),
    }
    dir
}

fn write(path: &Path, text: impl AsRef<[u8]>) -> PathBuf {
    fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("a directory");
    fs::write(path, text)
        .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    path.to_owned()
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.map(|entry| entry.expect("an entry")) {
        if entry.path().is_dir() {
            collect(&entry.path(), files);
        } else {
            files.push(entry.path());
        }
    }
}
