//! Which layers there are, and how they become one tree.

use std::path::{Path, PathBuf};

use crate::de;
use crate::error::ConfigError;
use crate::layer::{Layer, LayerKind, Origin, Place};
use crate::overrides::Override;
use crate::project::Project;
use crate::resolve;
use crate::settings::Config;
use crate::tree::{self, Node, Table};
use crate::trusted;

/// Where administrators put settings for everybody.
pub const SYSTEM_CONFIG: &str = "/etc/codex/config.toml";

/// Where administrators put settings that nobody can change.
const MANAGED_CONFIG: &str = "/etc/codex/managed_config.toml";

/// The files whose settings stand above everything else, the weakest first.
pub fn managed_files(home: &Path) -> [PathBuf; 2] {
    [
        home.join("managed_config.toml"),
        PathBuf::from(MANAGED_CONFIG),
    ]
}

/// What decides which layers there are.
#[derive(Debug, Clone)]
pub struct LoadRequest<'a> {
    /// `$CODEX_HOME`; it need not exist.
    pub home: &'a Path,
    /// The working directory, absolute.
    pub cwd: &'a Path,
    /// The system's file, usually [`SYSTEM_CONFIG`].
    pub system: &'a Path,
    /// `--profile`.
    pub profile: Option<&'a str>,
    /// `-c` and other flags, in order.
    pub overrides: &'a [Override],
    /// Files above everything else, the weakest first; usually [`managed_files`].
    pub managed: &'a [PathBuf],
    /// Whether a setting that does not exist is an error.
    pub strict: bool,
    /// Whether the user's file is left out (`--ignore-user-config`). Trust in projects is still read from it.
    pub ignore_user: bool,
}

/// What a project's file cannot decide: who gets the conversation and the credentials, what programs run unasked,
/// whom to trust.
const NOT_FOR_PROJECTS: &[&str] = &[
    "chatgpt_base_url",
    "cli_auth_credentials_store",
    "dovetail",
    "forced_chatgpt_workspace_id",
    "forced_login_method",
    "model_catalog_json",
    "model_provider",
    "model_providers",
    "notify",
    "openai_base_url",
    "otel",
    "projects",
];

/// Reads all layers and resolves them.
///
/// # Errors
/// Each names the file, the line and what would be right; see [`ConfigError::hint`].
pub fn load(request: &LoadRequest<'_>) -> Result<Config, ConfigError> {
    Stack::read(request, None)?.resolve(request)
}

/// The same with another text in the place of the user's file: what it would lead to.
///
/// # Errors
/// As [`load`].
pub fn load_with_user_text(request: &LoadRequest<'_>, text: &str) -> Result<Config, ConfigError> {
    Stack::read(request, Some(text))?.resolve(request)
}

/// A provider's table that cannot be used, and is left out.
#[derive(Debug)]
pub struct BrokenProvider {
    /// The id.
    pub id: String,
    /// Where it was set.
    pub place: Option<Place>,
    /// Why.
    pub error: ConfigError,
}

/// Reads all layers without the tables of providers that are errors, for whoever lists them all. Nobody must send a
/// request by such a configuration.
///
/// # Errors
/// As [`load`], for what is wrong elsewhere.
pub fn load_without_broken_providers(
    request: &LoadRequest<'_>,
) -> Result<(Config, Vec<BrokenProvider>), ConfigError> {
    let mut stack = Stack::read(request, None)?;
    let mut broken = Vec::new();
    loop {
        match stack.clone().resolve(request) {
            Ok(config) => return Ok((config, broken)),
            Err(error) => broken.push(stack.leave_out(error)?),
        }
    }
}

/// All layers, and what they come to together.
#[derive(Clone)]
struct Stack {
    project: Project,
    layers: Vec<Layer>,
    table: Table,
    warnings: Vec<String>,
}

impl Stack {
    fn read(request: &LoadRequest<'_>, user: Option<&str>) -> Result<Self, ConfigError> {
        let mut layers = Layers {
            list: vec![Layer::defaults()?],
            warnings: Vec::new(),
        };
        layers.read(LayerKind::System, request.system)?;
        let trust = layers.read_user(request, user)?;
        if let Some(profile) = request.profile {
            for layer in &layers.list {
                check_removed(layer, Some(profile))?;
            }
            layers.read_profile(request.home, profile)?;
        }
        let flags = command_line(request.overrides);
        let project = find_project(&layers.list, &flags, request, &trust)?;
        layers.read_project(request, &project)?;
        layers.add(flags);
        for path in request.managed {
            layers.read(LayerKind::Managed, path)?;
        }
        for layer in &layers.list {
            check_removed(layer, request.profile)?;
        }
        layers.keep_one_policy();
        let table = layers.merged();
        layers.note_overruled(request.overrides, &table);
        Ok(Self {
            project,
            layers: layers.list,
            table,
            warnings: layers.warnings,
        })
    }

    fn resolve(self, request: &LoadRequest<'_>) -> Result<Config, ConfigError> {
        let Self {
            project,
            layers,
            table,
            warnings,
        } = self;
        resolve::resolve(request, project, layers, table, warnings)
    }

    /// Takes the provider's table out that an error is about; gives the error back where it is about something else.
    fn leave_out(&mut self, error: ConfigError) -> Result<BrokenProvider, ConfigError> {
        let id = match &error {
            ConfigError::ReservedProvider { id, .. } => Some(id.clone()),
            ConfigError::Invalid { key, .. } | ConfigError::UnknownKey { key, .. } => {
                self.provider_of(key)
            }
            _ => None,
        };
        let tables = tree::table_at_mut(&mut self.table, PROVIDERS);
        let taken = id.and_then(|id| Some((tables?.remove(&id)?, id)));
        let Some((entry, id)) = taken else {
            return Err(error);
        };
        let layer = self.layers.get(usize::from(entry.origin.layer));
        Ok(BrokenProvider {
            id,
            place: layer.map(|layer| layer.place(entry.origin.line)),
            error,
        })
    }

    /// The provider that a dotted key is about.
    fn provider_of(&self, key: &str) -> Option<String> {
        let tables = tree::table_at(&self.table, PROVIDERS)?;
        let about = |id: &&String| {
            let own = tree::dotted(&[PROVIDERS, id.as_str()]);
            key.strip_prefix(&own)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        tables.keys().find(about).cloned()
    }
}

/// The table of providers' tables.
const PROVIDERS: &str = "model_providers";

struct Layers {
    list: Vec<Layer>,
    warnings: Vec<String>,
}

impl Layers {
    fn next_index(&self) -> u16 {
        // There is one layer per directory of a path, and paths have at most 4096 bytes.
        u16::try_from(self.list.len()).unwrap_or(u16::MAX)
    }

    fn read(&mut self, kind: LayerKind, path: &Path) -> Result<bool, ConfigError> {
        let layer = Layer::read(kind, path, self.next_index())?;
        let found = layer.is_some();
        self.list.extend(layer);
        Ok(found)
    }

    /// Reads the user's file, or the text that is given for it, and gives its table of projects.
    fn read_user(
        &mut self,
        request: &LoadRequest<'_>,
        given: Option<&str>,
    ) -> Result<Table, ConfigError> {
        let path = request.home.join("config.toml");
        let (kind, index) = (LayerKind::User, self.next_index());
        let layer = match given {
            Some(text) => Some(Layer::of_text(kind, &path, text, index)?),
            None => Layer::read(kind, &path, index)?,
        };
        let Some(layer) = layer else {
            return Ok(Table::new());
        };
        let projects = tree::table_at(&layer.table, "projects")
            .cloned()
            .unwrap_or_default();
        if !request.ignore_user {
            self.list.push(layer);
        }
        Ok(projects)
    }

    fn read_profile(&mut self, home: &Path, name: &str) -> Result<(), ConfigError> {
        let fits = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if !fits {
            return Err(ConfigError::BadProfileName {
                name: name.to_owned(),
            });
        }
        let path = home.join(format!("{name}.config.toml"));
        if self.read(LayerKind::Profile, &path)? {
            return Ok(());
        }
        Err(ConfigError::NoProfile {
            name: name.to_owned(),
            path,
        })
    }

    fn read_project(
        &mut self,
        request: &LoadRequest<'_>,
        project: &Project,
    ) -> Result<(), ConfigError> {
        for directory in project.directories_to(request.cwd) {
            let folder = directory.join(".codex");
            let path = folder.join("config.toml");
            // Seen from the home directory, the user's own file looks like a project's.
            if same_directory(&folder, request.home) || !path.is_file() {
                continue;
            }
            if !project.trusted() {
                let why = match project.trust {
                    Some(_) => "is marked as untrusted",
                    None => "is not trusted; to trust it: dovetail exec --trust",
                };
                self.warnings.push(format!(
                    "`{}` is ignored because this project {why}",
                    path.display()
                ));
                continue;
            }
            let Some(mut layer) = Layer::read(LayerKind::Project, &path, self.next_index())? else {
                continue;
            };
            self.drop_forbidden(&mut layer);
            self.list.push(layer);
        }
        Ok(())
    }

    fn drop_forbidden(&mut self, layer: &mut Layer) {
        for key in NOT_FOR_PROJECTS {
            if let Some(entry) = layer.table.remove(*key) {
                let place = layer.place(entry.origin.line);
                self.warnings.push(format!(
                    "`{key}` in {place} is ignored: a project cannot set it"
                ));
            }
        }
    }

    /// Adds a layer whose origins do not have their index yet.
    fn add(&mut self, mut layer: Layer) {
        let index = self.next_index();
        set_layer(&mut layer.table, index);
        self.list.push(layer);
    }

    /// Says which flags have no effect because an administrator decides.
    fn note_overruled(&mut self, overrides: &[Override], table: &Table) {
        for assignment in overrides {
            let decided = tree::get(table, &assignment.path());
            let layer = decided.and_then(|entry| self.list.get(usize::from(entry.origin.layer)));
            if let (Some(entry), Some(layer)) = (decided, layer)
                && layer.kind == LayerKind::Managed
            {
                let (flag, place) = (assignment.label(), layer.place(entry.origin.line));
                self.warnings
                    .push(format!("`{flag}` has no effect: {place} decides"));
            }
        }
    }

    /// A list of what may be used must not grow by what a weaker layer adds to it.
    fn keep_one_policy(&mut self) {
        let mut decided = false;
        for layer in self.list.iter_mut().rev() {
            let Some(own) = tree::table_at_mut(&mut layer.table, "dovetail") else {
                continue;
            };
            if decided {
                own.remove("plugin_policy");
            }
            decided |= own.contains_key("plugin_policy");
        }
    }

    fn merged(&self) -> Table {
        let mut table = Table::new();
        for layer in &self.list {
            tree::merge(&mut table, layer.table.clone());
        }
        table
    }
}

fn set_layer(table: &mut Table, layer: u16) {
    for entry in table.values_mut() {
        entry.origin.layer = layer;
        if let Node::Table(inner) = &mut entry.node {
            set_layer(inner, layer);
        }
    }
}

fn same_directory(a: &Path, b: &Path) -> bool {
    a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

fn command_line(overrides: &[Override]) -> Layer {
    let mut table = Table::new();
    for (number, assignment) in (1u32..).zip(overrides) {
        tree::merge(
            &mut table,
            assignment.clone().into_table(Origin {
                layer: 0,
                line: number,
            }),
        );
    }
    let flags = overrides
        .iter()
        .map(|assignment| assignment.label().to_owned())
        .collect();
    Layer {
        kind: LayerKind::CommandLine,
        path: None,
        flags,
        table,
    }
}

/// Finds the project with the markers that hold so far, and asks the user's file whether to trust it.
fn find_project(
    layers: &[Layer],
    flags: &Layer,
    request: &LoadRequest<'_>,
    trust: &Table,
) -> Result<Project, ConfigError> {
    let key = ["project_root_markers"];
    let chosen = std::iter::once(flags)
        .chain(layers.iter().rev())
        .find(|layer| layer.table.contains_key(key[0]));
    let layer = chosen.unwrap_or(flags);
    let markers: Vec<String> = match layer.table.get(key[0]) {
        Some(entry) => de::read(&entry.node.to_json())
            .map(|(markers, _)| markers)
            .map_err(|mismatch| ConfigError::Invalid {
                key: key[0].to_owned(),
                place: layer.place(entry.origin.line),
                problem: mismatch.problem,
            })?,
        None => Vec::new(),
    };
    let mut project = Project::find(request.cwd, &markers);
    project.trust = trusted::level(&project.root, trust);
    Ok(project)
}

/// Settings that old files have and that would be confusing to ignore: a profile that was chosen in a way of old. Tables
/// of profiles that nobody chose do no harm.
fn check_removed(layer: &Layer, profile: Option<&str>) -> Result<(), ConfigError> {
    let chosen = layer.table.get_key_value("profile");
    let named = profile.and_then(|name| {
        let (name, entry) = tree::table_at(&layer.table, "profiles")?.get_key_value(name)?;
        Some((tree::dotted(&["profiles", name]), entry))
    });
    let removed = chosen.map(|(key, entry)| (key.clone(), entry)).or(named);
    match removed {
        Some((key, entry)) => Err(ConfigError::Removed {
            key,
            place: layer.place(entry.origin.line),
            instead: "move the profile's settings to `$CODEX_HOME/<name>.config.toml` and pass `--profile <name>`",
        }),
        None => Ok(()),
    }
}
