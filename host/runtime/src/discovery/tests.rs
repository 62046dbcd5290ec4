use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0rest";

struct World {
    root: tempfile::TempDir,
    places: Places,
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        let project = Project {
            root: root.path().join("project"),
            trusted: true,
        };
        let places = Places {
            builtins: Vec::new(),
            system_dir: root.path().join("system"),
            own_dir: root.path().join("home/dovetail"),
            project: Some(project),
        };
        Self { root, places }
    }

    fn dir(&self, scope: &str) -> PathBuf {
        match scope {
            "system" => self.places.system_dir.clone(),
            "user" => self.places.user_dir(),
            _ => Places::project_dir(&self.root.path().join("project")),
        }
    }

    fn install(&self, scope: &str, id: &str, kind: &str) -> PathBuf {
        let dir = self.dir(scope).join(id);
        fs::create_dir_all(&dir).expect("made");
        fs::write(dir.join("plugin.toml"), manifest(id, kind)).expect("written");
        fs::write(dir.join(format!("{id}.wasm")), COMPONENT).expect("written");
        for file in ["plugin.toml", &format!("{id}.wasm")] {
            fs::set_permissions(dir.join(file), fs::Permissions::from_mode(0o644))
                .expect("changed");
        }
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("changed");
        dir
    }

    /// What was found as `id scope`, then what is wrong as `name scope: error`.
    fn found(&self) -> (Vec<String>, Vec<String>) {
        let found = discover(&self.places);
        let plugins = found
            .plugins
            .iter()
            .map(|(id, found)| format!("{id} {}", found.scope.name()))
            .collect();
        let root = self.root.path().to_string_lossy().into_owned();
        let problem =
            |p: &Problem| format!("{} {}: {}", p.name, p.scope.name(), p.error).replace(&root, "…");
        (plugins, found.problems.iter().map(problem).collect())
    }
}

fn manifest(id: &str, kind: &str) -> String {
    format!("id = \"{id}\"\nversion = \"1.0.0\"\napi = \"^0.1\"\nkinds = [\"{kind}\"]\n")
}

#[test]
fn directories_that_are_not_there_are_empty() {
    assert_eq!(World::new().found(), (Vec::new(), Vec::new()));
}

#[test]
fn later_places_take_the_place_of_earlier_ones_and_it_shows() {
    let mut world = World::new();
    let text: &'static str = Box::leak(manifest("a", "tools").into_boxed_str());
    world.places.builtins = vec![Builtin {
        id: "a",
        manifest: text,
        wasm: COMPONENT,
    }];
    world.install("system", "a", "tools");
    world.install("user", "a", "tools");
    world.install("project", "a", "tools");
    world.install("system", "b", "sink");
    assert_eq!(world.found().0, ["a project", "b system"]);
    let shadowed = discover(&world.places).shadowed;
    let steps: Vec<_> = shadowed
        .iter()
        .map(|s| (s.hidden.name(), s.by.name()))
        .collect();
    assert_eq!(
        steps,
        [
            ("built-in", "system"),
            ("system", "user"),
            ("user", "project")
        ]
    );
}

#[test]
fn a_project_cannot_stand_in_for_providers_and_hooks() {
    for (theirs, mine) in [
        ("provider", "provider"),
        ("hooks", "hooks"),
        ("tools", "provider"),
        ("hooks", "tools"),
    ] {
        let world = World::new();
        world.install("user", "a", theirs);
        world.install("project", "a", mine);
        let (plugins, problems) = world.found();
        assert_eq!(plugins, ["a user"]);
        assert_eq!(problems.len(), 1, "{theirs} {mine}");
    }
    let world = World::new();
    world.install("user", "a", "provider");
    world.install("project", "a", "provider");
    let expected = "a project: project plugin `a` may not take the place of the user plugin of that name: \
                    a project cannot replace provider plugins";
    assert_eq!(world.found().1, [expected]);
}

#[test]
fn an_untrusted_project_is_skipped_aloud() {
    let mut world = World::new();
    world.install("project", "a", "tools");
    world.places.project = Some(Project {
        root: world.root.path().join("project"),
        trusted: false,
    });
    assert_eq!(world.found(), (Vec::new(), Vec::new()));
    let skipped = discover(&world.places).skipped_project.expect("it is said");
    assert!(
        skipped.ends_with("are not used: the project is not trusted"),
        "{skipped}"
    );
}

#[test]
fn one_broken_plugin_hides_no_other() {
    let world = World::new();
    world.install("user", "good", "tools");
    let dir = world.install("user", "no-manifest", "tools");
    fs::remove_file(dir.join("plugin.toml")).expect("removed");
    let dir = world.install("user", "no-wasm", "tools");
    fs::remove_file(dir.join("no-wasm.wasm")).expect("removed");
    let dir = world.install("user", "core", "tools");
    fs::write(dir.join("core.wasm"), b"\0asm\x01\0\0\0").expect("written");
    let dir = world.install("user", "short", "tools");
    fs::write(dir.join("short.wasm"), b"\0as").expect("written");
    let dir = world.install("user", "renamed", "tools");
    fs::rename(&dir, dir.with_file_name("other-name")).expect("renamed");
    let dir = world.install("user", "misspelt", "tools");
    fs::write(dir.join("plugin.toml"), "ids = 1\n").expect("written");
    fs::create_dir(world.dir("user").join(".hidden")).expect("made");
    fs::write(world.dir("user").join("README"), "not a folder").expect("written");
    let (plugins, problems) = world.found();
    assert_eq!(plugins, ["good user"]);
    let plugins = "…/home/dovetail/plugins";
    let expected = [
        format!("core user: `{plugins}/core/core.wasm` is not a WebAssembly component: it is a core module"),
        format!("misspelt user: {plugins}/misspelt/plugin.toml:1: `id` is missing in the manifest"),
        format!("no-manifest user: cannot read `{plugins}/no-manifest/plugin.toml`"),
        format!("no-wasm user: cannot read `{plugins}/no-wasm/no-wasm.wasm`"),
        "other-name user: the folder `other-name` holds plugin `renamed`: both must have the same name".to_owned(),
        format!("short user: `{plugins}/short/short.wasm` is not a WebAssembly component: it is too short"),
    ];
    assert_eq!(problems, expected);
}

#[test]
fn files_that_anybody_can_write_are_refused() {
    let world = World::new();
    for (id, file) in [("a", "plugin.toml"), ("b", "b.wasm"), ("c", "")] {
        let dir = world.install("user", id, "tools");
        fs::set_permissions(dir.join(file), fs::Permissions::from_mode(0o777)).expect("changed");
    }
    let (plugins, problems) = world.found();
    assert!(plugins.is_empty());
    let plugins = "…/home/dovetail/plugins";
    let open =
        |path: &str| format!("`{plugins}/{path}` can be written by every user of this machine");
    let expected = [("a", "a/plugin.toml"), ("b", "b/b.wasm"), ("c", "c/")];
    let expected =
        expected.map(|(id, path)| format!("{id} user: {}", open(path.trim_end_matches('/'))));
    assert_eq!(problems, expected);
}

#[test]
fn links_are_for_the_users_own_plugins_only() {
    let world = World::new();
    let elsewhere = world.root.path().join("target.wasm");
    fs::write(&elsewhere, COMPONENT).expect("written");
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o644)).expect("changed");
    for scope in ["user", "project"] {
        let id = format!("linked-{scope}");
        let wasm = world
            .install(scope, &id, "tools")
            .join(format!("{id}.wasm"));
        fs::remove_file(&wasm).expect("removed");
        symlink(&elsewhere, &wasm).expect("linked");
    }
    let (plugins, problems) = world.found();
    assert_eq!(plugins, ["linked-user user"]);
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].ends_with("is a symbolic link, which a project's plugin may not contain"),
        "{}",
        problems[0]
    );
}

#[test]
fn a_builtin_with_a_broken_manifest_is_a_problem_like_any_other() {
    let mut world = World::new();
    world.places.builtins = vec![Builtin {
        id: "a",
        manifest: "id = \"b\"",
        wasm: COMPONENT,
    }];
    let (plugins, problems) = world.found();
    assert!(plugins.is_empty());
    assert_eq!(
        problems,
        ["a built-in: built-in:a/plugin.toml:1: `api` is missing in the manifest"]
    );
}

#[test]
fn a_directory_that_anybody_can_write_or_that_leads_out_of_the_project_is_not_looked_at() {
    let world = World::new();
    world.install("user", "a", "tools");
    let user = world.dir("user");
    fs::set_permissions(&user, fs::Permissions::from_mode(0o777)).expect("changed");
    world.install("project", "b", "hooks");
    let dovetail = world.root.path().join("project/.codex/dovetail");
    let elsewhere = world.root.path().join("elsewhere");
    fs::rename(&dovetail, &elsewhere).expect("moved");
    symlink(&elsewhere, &dovetail).expect("linked");
    let (plugins, problems) = world.found();
    assert_eq!(plugins, Vec::<String>::new());
    let path = |scope: &str| {
        let root = world.root.path().to_string_lossy().into_owned();
        world.dir(scope).display().to_string().replace(&root, "…")
    };
    assert_eq!(
        problems,
        [
            format!(
                "{user} user: `{user}` can be written by every user of this machine",
                user = path("user")
            ),
            format!(
                "{dir} project: `…/project/.codex/dovetail` is a symbolic link, which a project's plugin may not contain",
                dir = path("project")
            ),
        ]
    );
}
