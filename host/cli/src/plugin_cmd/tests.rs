use std::fs;

use dovetail_runtime::discovery::{Builtin, Project};
use serde_json::Value;

use super::testing::{World, component};
use super::*;

const NET: &str = "net = [\"https://llm.acme.example\"]\nsecrets = [\"acme-token\"]\n";

#[test]
fn a_plugin_is_installed_listed_and_removed() {
    let world = World::new();
    assert_eq!(
        world.ok("list"),
        "no plugins; install one with: dovetail plugin install <folder>\n"
    );
    world.package("acme", "provider", NET);
    let installed = world.ok("install packages/acme --yes");
    assert_eq!(
        installed,
        "installed acme 1.2.0 in …/home/dovetail/plugins/acme\n"
    );
    assert_eq!(
        world.ok("list"),
        "plugin  kind      state  calls  p50  p95  faults\n\
         acme    provider  ready  –      –    –    –\n\
         \x20 user 1.2.0 · not signed · granted net https://llm.acme.example, secret\n\
         \x20   acme-token\n"
    );
    assert_eq!(
        world.ok("remove acme"),
        "removed …/home/dovetail/plugins/acme\n"
    );
    assert_eq!(world.state("acme"), "absent");
    assert!(
        world
            .error("remove acme")
            .starts_with("error: there is no plugin `acme` among your plugins\n")
    );
}

#[test]
fn nothing_is_installed_without_a_decision() {
    let world = World::new();
    world.package("acme", "provider", NET);
    assert_eq!(
        world.error("install packages/acme"),
        "error: this needs a decision, and there is no terminal to ask on\n\
         hint: if what is shown above is all right, add --yes\n"
    );
    assert_eq!(world.state("acme"), "absent");
}

#[test]
fn the_question_is_put_in_plain_words() {
    let world = World::new();
    let request = "net = [\"https://llm.acme.example\", \"http://gpu.lan.example:8000\"]\nsecrets = [\"acme-token\"]\n\
        owns = [\"acme-refresh\"]\nfs = [{ path = \"notes\", mount = \"/n\", access = \"append\" }]\n\
        process = [[\"acme\", \"token\", \"*\"]]\nenv = [\"ACME_REGION\"]\nkv = 4096\nclient = true\nclasses = [\"content\"]\n";
    world.package("acme", "provider", request);
    let package =
        package::Package::read(&world.context.cwd.join("packages/acme"), None).expect("right");
    let manifest = &package.found.manifest;
    let sources =
        grant::sources(manifest, &["acme-refresh=file:~/.acme/refresh".to_owned()]).expect("right");
    let text = consent::describe(&package.found, &sources);
    let expected = "\
acme 1.2.0 · provider · 1 KB
  gets     the address and headers of each model request, not what it says
  asks to  reach   http://gpu.lan.example:8000 (not encrypted on the way)
           reach   https://llm.acme.example
           use     secret `acme-token` (environment variable `ACME_TOKEN`), in
                   requests to those hosts only
           see     secret `acme-refresh` (file `~/.acme/refresh`), and replace
                   it
           add to  files in notes
           run     `acme token *`
           see     the environment variable `ACME_REGION`
           keep    up to 4 KB between runs
           ask     the connected application for tokens and attestations
           get     prompts, answers, commands and output in events (content)
  may not  reach other hosts, touch other files, start other programs
";
    let size = format!("{} B", component("provider").len());
    assert_eq!(text, expected.replace("1 KB\n", &format!("{size}\n")));
    assert!(
        text.lines()
            .all(|line| line.chars().count() <= layout::WIDTH),
        "{text}"
    );
}

#[test]
fn a_changed_component_has_to_be_granted_again() {
    let world = World::new();
    world.package("acme", "provider", NET);
    world.ok("install packages/acme --yes");
    let wasm = world.context.places.user_dir().join("acme/acme.wasm");
    // A custom section changes the bytes and nothing else.
    let changed = [component("provider"), vec![0, 2, 1, b'x']].concat();
    fs::write(&wasm, changed).expect("written");
    assert_eq!(world.state("acme"), "changed");
    assert!(
        world
            .ok("list")
            .contains("plugin `acme` changed since it was granted (sha256 ")
    );
    let refused = world.error("grant acme net https://llm.acme.example");
    assert_eq!(
        refused,
        "error: plugin `acme` changed since it was granted\n\
         hint: review it as a whole: dovetail plugin grant acme\n"
    );
    let granted = world.ok("grant acme --yes");
    assert_eq!(
        granted,
        "plugin `acme` is granted: net https://llm.acme.example, secret acme-token\n"
    );
    assert_eq!(world.state("acme"), "ready");
}

#[test]
fn capabilities_are_granted_one_by_one_and_only_as_asked_for() {
    let world = World::new();
    let request = format!(
        "{NET}kv = 100\nprocess = [[\"acme\", \"**\"]]\nfs = [{{ path = \"n\", mount = \"/n\", access = \"read\" }}]"
    );
    world.package("acme", "tools", &request);
    let dir = world.context.places.user_dir().join("acme");
    fs::create_dir_all(dir.parent().expect("a parent")).expect("made");
    fs::rename(world.context.cwd.join("packages/acme"), dir).expect("moved");
    assert_eq!(world.state("acme"), "not granted");
    let steps = [
        (
            "net https://llm.acme.example",
            "net https://llm.acme.example",
        ),
        ("kv", "net https://llm.acme.example, kv 100 bytes"),
        (
            "process acme --fresh",
            "net https://llm.acme.example, process `acme --fresh`, kv 100 bytes",
        ),
        (
            "fs n",
            "net https://llm.acme.example, fs n (read), process `acme --fresh`, kv 100 bytes",
        ),
    ];
    for (what, granted) in steps {
        let expected = format!("plugin `acme` is granted: {granted}\n");
        assert_eq!(world.ok(&format!("grant acme {what}")), expected);
    }
    let cases = [
        (
            "net https://evil.example",
            "plugin `acme` does not ask for net https://evil.example",
        ),
        ("kv 101", "plugin `acme` does not ask for kv 101 bytes"),
        ("client", "plugin `acme` does not ask for client"),
        ("fs elsewhere", "plugin `acme` does not ask for fs"),
        (
            "process rm -rf /",
            "plugin `acme` does not ask for process `rm -rf /`",
        ),
        (
            "net nonsense",
            "`nonsense` is not an origin: start it with `https://` or `http://`",
        ),
        ("net", "say which one"),
        ("client x", "`x` takes no value"),
    ];
    for (what, expected) in cases {
        let error = world.error(&format!("grant acme {what}"));
        assert_eq!(
            error.lines().next(),
            Some(format!("error: {expected}").as_str()),
            "{what}"
        );
    }
    assert_eq!(world.state("acme"), "ready");
}

#[test]
fn a_secrets_source_is_chosen_kept_and_shown() {
    let world = World::new();
    world.package("acme", "provider", NET);
    let bad = world.error("install packages/acme --yes --secret other=env:X");
    assert_eq!(bad, "error: plugin `acme` asks for no secret `other`\n");
    let bad = world.error("install packages/acme --yes --secret acme-token=vault:X");
    assert!(
        bad.starts_with("error: `vault:X` is no source of a secret"),
        "{bad}"
    );
    world.ok("install packages/acme --yes --secret acme-token=env:DOVETAIL_TEST_NOT_SET");
    world.ok("install packages/acme --yes");
    let shown = world.ok("inspect acme");
    assert!(
        shown.contains("use     secret `acme-token` (environment variable\n                     `DOVETAIL_TEST_NOT_SET`)"),
        "{shown}"
    );
    assert!(
        shown.contains(
            "secret       `acme-token`: environment variable `DOVETAIL_TEST_NOT_SET`, not set\n"
        ),
        "{shown}"
    );
}

#[test]
fn plugins_are_turned_off_and_on_and_that_is_no_grant() {
    let world = World::new();
    world.package("acme", "tools", "");
    world.ok("install packages/acme --yes");
    assert_eq!(world.ok("disable acme"), "plugin `acme` is disabled\n");
    assert_eq!(
        world.ok("disable acme"),
        "plugin `acme` is disabled already\n"
    );
    assert_eq!(world.state("acme"), "disabled");
    assert_eq!(world.ok("enable acme"), "plugin `acme` is enabled\n");
    assert_eq!(world.state("acme"), "ready");
    fs::remove_file(world.context.places.own_dir.join("plugins.lock")).expect("removed");
    assert!(
        world
            .error("disable acme")
            .starts_with("error: plugin `acme` is not granted, so it does not run\n")
    );
    assert_eq!(world.state("acme"), "not granted");
}

#[test]
fn a_builtin_can_be_turned_off_but_neither_granted_nor_removed() {
    let mut world = World::new();
    let manifest = "id = \"core\"\nversion = \"0.1.0\"\napi = \"^0.1\"\nkinds = [\"sink\"]\n";
    let wasm: &'static [u8] = Box::leak(component("sink").into_boxed_slice());
    world.context.places.builtins = vec![Builtin {
        id: "core",
        manifest,
        wasm,
    }];
    assert_eq!(world.state("core"), "ready");
    assert_eq!(world.ok("disable core"), "plugin `core` is disabled\n");
    assert_eq!(world.state("core"), "disabled");
    assert_eq!(world.ok("enable core"), "plugin `core` is enabled\n");
    assert_eq!(world.state("core"), "ready");
    assert!(
        world
            .error("grant core --yes")
            .starts_with("error: plugin `core` is part of dovetail and needs no grant\n")
    );
    assert!(
        world
            .error("remove core")
            .ends_with("to turn it off: dovetail plugin disable core\n")
    );
}

#[test]
fn a_projects_plugin_is_granted_and_pinned() {
    let world = World::new();
    world.package("notes", "tools", "kv = 10");
    let installed = world.ok("install packages/notes --project --yes");
    assert_eq!(
        installed,
        "installed notes 1.2.0 in …/project/.codex/dovetail/plugins/notes\n"
    );
    assert_eq!(world.state("notes"), "ready");
    let pins = world
        .root
        .path()
        .join("project/.codex/dovetail/plugins.lock");
    fs::write(&pins, "version = 1\n").expect("written");
    assert_eq!(world.state("notes"), "not pinned");
    world.ok("grant notes --yes --project");
    assert_eq!(world.state("notes"), "ready");
    assert!(
        world
            .error("remove notes")
            .contains("dovetail plugin remove notes --project")
    );
    world.ok("remove notes --project");
    assert_eq!(world.state("notes"), "absent");
}

#[test]
fn an_untrusted_project_takes_no_plugins() {
    let mut world = World::new();
    world.package("notes", "tools", "");
    let root = world.context.cwd.join("project");
    world.context.places.project = Some(Project {
        root,
        trusted: false,
    });
    let error = world.error("install packages/notes --project --yes");
    assert!(
        error.starts_with("error: the project `…/project` is not trusted\n"),
        "{error}"
    );
}

#[test]
fn what_cannot_be_a_plugin_is_not_installed() {
    let world = World::new();
    world.package("acme", "provider", "");
    let dir = world.context.cwd.join("packages/acme");
    assert!(
        world
            .error("install packages/none --yes")
            .starts_with("error: there is no plugin in `…/packages/none`\n")
    );
    fs::write(dir.join("acme.wasm"), component("tools")).expect("written");
    assert_eq!(
        world.error("install packages/acme --yes"),
        "error: plugin `acme` says in its manifest that it is \"provider\", but its component exports \"tools\"\n\
         hint: write `kinds = [\"tools\"]` in its plugin.toml\n"
    );
    let whole = component("provider");
    fs::write(dir.join("acme.wasm"), &whole[..whole.len() - 4]).expect("written");
    assert!(
        world
            .error("install packages/acme --yes")
            .starts_with("error: plugin `acme` is not a valid WebAssembly component")
    );
    fs::write(dir.join("acme.wasm"), b"\0asm\x01\0\0\0").expect("written");
    assert!(
        world
            .error("install packages/acme --yes")
            .contains("it is a core module")
    );
    fs::remove_file(dir.join("acme.wasm")).expect("removed");
    assert!(
        world
            .error("install packages/acme --yes")
            .starts_with("error: there is no component for plugin `acme`")
    );
    assert_eq!(world.state("acme"), "absent");
    assert!(!world.context.places.user_dir().join("acme").exists());
}

#[test]
fn a_component_is_taken_from_where_cargo_builds_it() {
    let world = World::new();
    world.package("acme", "provider", "");
    let dir = world.context.cwd.join("packages/acme");
    fs::write(dir.join("Cargo.toml"), "[package]\nname = \"my-acme\"\n").expect("written");
    let built = world.context.cwd.join("target/wasm32-wasip2/release");
    fs::create_dir_all(&built).expect("made");
    fs::rename(dir.join("acme.wasm"), built.join("my_acme.wasm")).expect("moved");
    world.ok("install packages/acme --yes");
    assert_eq!(world.state("acme"), "ready");
}

#[test]
fn an_upgrade_takes_the_place_of_what_is_there() {
    let world = World::new();
    world.package("acme", "tools", "");
    world.ok("install packages/acme --yes");
    fs::write(world.context.places.user_dir().join("acme/old-file"), "").expect("written");
    world.package("acme", "tools", "kv = 5");
    world.ok("install packages/acme --yes");
    assert!(world.ok("inspect acme").contains("kv 5 bytes"));
    let plugins = world.context.places.user_dir();
    let names = |dir: &Path| fs::read_dir(dir).expect("listable").count();
    assert_eq!((names(&plugins), names(&plugins.join("acme"))), (1, 2));
}

#[test]
fn broken_plugins_are_listed_with_what_is_wrong() {
    let world = World::new();
    let dir = world.context.places.user_dir().join("broken");
    fs::create_dir_all(&dir).expect("made");
    fs::write(dir.join("plugin.toml"), "id = \"broken\"\napi = \"^9\"\n").expect("written");
    let list = world.ok("list");
    let expected = "plugin  kind  state   calls  p50  p95  faults\n\
         broken  ?     broken  –      –    –    –\n\
         \x20 user\n\n\
         plugin `broken`: plugin `broken` needs plugin API `^9`, this host speaks 0.1.0:\n\
         the host is older than the plugin\n\
         hint: update dovetail, or install an older `broken`\n";
    assert_eq!(list, expected);
    assert!(
        world
            .error("inspect broken")
            .starts_with("error: plugin `broken` cannot be used: ")
    );
    assert!(
        world
            .error("inspect nothing")
            .starts_with("error: there is no plugin `nothing`\n")
    );
}

#[test]
fn a_folder_can_be_inspected_before_it_is_installed() {
    let world = World::new();
    world.package("acme", "hooks", "env = [\"HOME\"]");
    let text = world.ok("inspect ./packages/acme");
    for line in [
        "kind         hooks\n",
        "component    exports hooks; imports nothing of the host\n",
        "asks to      see     the environment variable `HOME`\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let json: Value =
        serde_json::from_str(&world.ok("inspect ./packages/acme --json")).expect("it is JSON");
    assert_eq!(json["requested"]["env"], serde_json::json!(["HOME"]));
    assert_eq!(json["limits"]["deadline_ms"]["hooks"], 1000);
}
