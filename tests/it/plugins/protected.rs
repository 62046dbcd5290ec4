//! What decides about trust stays read-only for the model, wherever it works and whatever else it may write.

use dovetail_tests::{Lab, NOTES, script};

use crate::lab;

/// The files of a home that decide about trust; some are not there yet.
const FILES: [&str; 8] = [
    "dovetail/plugins/notes/notes.wasm",
    "dovetail/plugins/notes/plugin.toml",
    "dovetail/plugins/new/plugin.toml",
    "dovetail/plugins.lock",
    "dovetail/lock.key",
    "dovetail/cache/x.cwasm",
    "config.toml",
    "managed_config.toml",
];

/// A model that tries to change each file with a command, and then one of them with a patch.
async fn attack(base: &std::path::Path, files: &[&str], patched: &str) -> Lab {
    let mut lab = lab(&[&script::answer("unused")]).await;
    let base = match base.as_os_str().is_empty() {
        true => lab.home(),
        false => lab.project().join(base),
    };
    let tries: Vec<String> = files
        .iter()
        .map(|file| {
            let path = base.join(file).display().to_string();
            format!("mkdir -p $(dirname {path}); echo mine >> {path}; mv {path} {path}.old")
        })
        .collect();
    let patch = format!(
        "*** Begin Patch\n*** Add File: {}\n+mine\n*** End Patch\n",
        base.join(patched).display()
    );
    lab.play(
        &[
            script::command("c", &tries.join("; ")),
            script::patch("p", &patch),
            script::answer("ok"),
        ]
        .concat(),
    )
    .await;
    lab.write_config(&lab.provider_config(""));
    lab
}

/// All files below a directory with what is in them, but for threads and what a run keeps, which is also what plugins did.
fn contents(dir: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(dir).unwrap().display().to_string();
            let kept = [
                "sessions",
                "installation_id",
                "history",
                "thread",
                "log",
                "dovetail/state",
            ];
            if kept.iter().any(|kept| name.starts_with(kept)) {
                continue;
            }
            match path.is_dir() {
                true => dirs.push(path),
                false => files.push((name, std::fs::read(&path).unwrap())),
            }
        }
    }
    files.sort();
    files
}

/// The home is as it was after a run that could write everything around it.
async fn check_home(args: impl Fn(&Lab) -> Vec<String>) {
    let lab = attack(
        std::path::Path::new(""),
        &FILES,
        "dovetail/plugins/evil/plugin.toml",
    )
    .await;
    lab.install(&NOTES).await;
    let before = contents(&lab.home());
    let more = args(&lab);
    let mut all = vec!["-s", "workspace-write"];
    all.extend(more.iter().map(String::as_str));
    all.push("go");
    lab.exec(&all).await.expect_code(0);
    assert_eq!(
        contents(&lab.home()),
        before,
        "{more:?}: {}",
        lab.output_of("c")
    );
    assert!(
        lab.output_of("p").contains("patch rejected"),
        "{more:?}: {}",
        lab.output_of("p")
    );
}

#[tokio::test]
async fn a_home_stays_as_it_is_wherever_the_work_is() {
    let path = |path: std::path::PathBuf| path.display().to_string();
    // In the directory around it, in itself, and in a directory of plugins.
    check_home(|lab| {
        vec![
            "-C".to_owned(),
            path(lab.home().parent().unwrap().to_owned()),
        ]
    })
    .await;
    check_home(|lab| vec!["-C".to_owned(), path(lab.home())]).await;
    check_home(|lab| vec!["-C".to_owned(), path(lab.home().join("dovetail/plugins"))]).await;
    // Beside it, with a root that covers it, or that is it.
    check_home(|lab| {
        vec![
            "--add-dir".to_owned(),
            path(lab.home().parent().unwrap().to_owned()),
        ]
    })
    .await;
    check_home(|lab| vec!["--add-dir".to_owned(), path(lab.home())]).await;
}

/// Before there is any grant, nobody else makes the key that grants are known by.
#[tokio::test]
async fn a_home_without_plugins_gets_none_from_a_model() {
    let lab = attack(std::path::Path::new(""), &FILES, "dovetail/lock.key").await;
    let home = lab.home().display().to_string();
    lab.exec(&["-s", "workspace-write", "-C", &home, "go"])
        .await
        .expect_code(0);
    let own = lab.home().join("dovetail");
    for name in ["lock.key", "plugins.lock", "plugins"] {
        assert!(!own.join(name).exists(), "{name}: {}", lab.output_of("c"));
    }
    assert!(!lab.home().join("managed_config.toml").is_file());
}

/// From a directory inside a project, with a root above all of it.
#[tokio::test]
async fn a_projects_plugins_stay_as_they_are_below_a_wider_root() {
    let files = ["plugins/notes/notes.wasm", "plugins.lock"];
    let lab = attack(
        std::path::Path::new(".codex/dovetail"),
        &files,
        "plugins/evil/plugin.toml",
    )
    .await;
    lab.init_git();
    lab.write(".codex/dovetail/plugins/notes/notes.wasm", NOTES.wasm);
    lab.write(".codex/dovetail/plugins/notes/plugin.toml", NOTES.manifest);
    lab.write(".codex/dovetail/plugins.lock", "version = 2\n");
    lab.write("inner/file", "");
    let before = contents(&lab.project().join(".codex"));
    let (inner, above) = (
        lab.project().join("inner").display().to_string(),
        lab.project().parent().unwrap().display().to_string(),
    );
    lab.exec(&[
        "-s",
        "workspace-write",
        "-C",
        &inner,
        "--add-dir",
        &above,
        "go",
    ])
    .await
    .expect_code(0);
    assert_eq!(
        contents(&lab.project().join(".codex")),
        before,
        "{}",
        lab.output_of("c")
    );
    assert!(lab.output_of("p").contains("patch rejected"));
}
