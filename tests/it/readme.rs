//! The README's first plugin, and plugins that are built elsewhere: no part of the host is compiled again.

use std::path::{Path, PathBuf};
use std::process::Command;

use dovetail_tests::{Lab, script};

use crate::{DOVETAIL, lab};

pub(crate) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The first block of code in that language after a text in the README.
fn block(language: &str, after: &str) -> String {
    let text = std::fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    let (_, rest) = text
        .split_once(after)
        .unwrap_or_else(|| panic!("the README does not say `{after}`"));
    let (_, rest) = rest
        .split_once(&format!("```{language}\n"))
        .expect("a block");
    rest.split_once("```").expect("its end").0.to_owned()
}

/// Builds a plugin outside of the workspace, as its author would, and returns its folder.
fn build(lab: &Lab, name: &str, source: &str, manifest: &str) -> PathBuf {
    let root = Path::new(ROOT).canonicalize().unwrap();
    let api = root.join("plugin-api");
    lab.write(
        &format!("{name}/Cargo.toml"),
        format!(
            "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n\
             dovetail-plugin-api = {{ path = \"{}\" }}\n\n[lib]\ncrate-type = [\"cdylib\"]\n",
            api.display()
        ),
    );
    lab.write(&format!("{name}/src/lib.rs"), source);
    lab.write(&format!("{name}/plugin.toml"), manifest);
    let folder = lab.project().join(name);
    compile(&folder, name, name);
    folder
}

/// Compiles a crate that is outside of the workspace, and puts its component beside its manifest.
pub(crate) fn compile(folder: &Path, package: &str, id: &str) {
    let root = Path::new(ROOT).canonicalize().unwrap();
    // The versions that are here already, so that nothing has to be looked up.
    std::fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let target = Path::new(DOVETAIL).with_file_name("dovetail-test-outside");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args([
        "build",
        "--release",
        "--target",
        "wasm32-wasip2",
        "--offline",
        "--quiet",
    ]);
    // In the root for its toolchain file; what was meant for the host's build is not meant for this one.
    cargo
        .current_dir(&root)
        .arg("--manifest-path")
        .arg(folder.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target);
    for variable in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
    ] {
        cargo.env_remove(variable);
    }
    let output = cargo.output().expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let file = package.replace('-', "_");
    let built = target.join(format!("wasm32-wasip2/release/{file}.wasm"));
    std::fs::copy(built, folder.join(format!("{id}.wasm"))).unwrap();
}

#[tokio::test]
async fn the_first_plugin_of_the_readme_serves_a_turn() {
    let mut lab = Lab::bare(DOVETAIL);
    let expecting = "[[response]]\nexpect = [{ header = \"x-acme-key\", equals = \"acme-secret\" }]\n\
                     actions = [{ text = \"from acme\" }]\n";
    lab.play(expecting).await;
    let url = lab.server().base_url();
    let here =
        |text: String| text.replace("https://llm.acme.example", url.strip_suffix("/v1").unwrap());
    let guide = "## Your first plugin in five minutes";
    let folder = build(
        &lab,
        "acme",
        &here(block("rust", guide)),
        &here(block("toml", guide)),
    );
    let plugins = lab.home().join("dovetail/plugins");
    std::fs::create_dir_all(&plugins).unwrap();
    std::fs::create_dir(plugins.join("acme")).unwrap();
    for file in ["plugin.toml", "acme.wasm"] {
        std::fs::copy(folder.join(file), plugins.join("acme").join(file)).unwrap();
    }
    lab.set_env("ACME_TOKEN", "acme-secret");
    let exec = ["-c", "model_provider=acme", "-m", "acme-1", "hello"];

    let refused = lab.exec(&exec).await.expect_code(1);
    refused.expect_errors(&[
        "plugin `acme` is installed but nobody has granted it",
        "dovetail plugin grant acme",
    ]);
    lab.run(&["plugin", "grant", "acme", "--yes"])
        .await
        .expect_code(0);
    assert_eq!(lab.exec(&exec).await.expect_code(0).stdout, "from acme\n");
    lab.expect_played();
}

#[tokio::test]
async fn a_sink_that_was_built_elsewhere_gets_every_event() {
    let mut lab = lab(&[&script::command("c", "echo hi"), &script::answer("done")]).await;
    let source = include_str!("../fixtures/outside/sink.rs");
    let manifest = "id = \"teller\"\nversion = \"1.0.0\"\napi = \"^0.1\"\nkinds = [\"sink\"]\n";
    build(&lab, "teller", source, manifest);
    lab.run(&["plugin", "install", "./teller", "--yes"])
        .await
        .expect_code(0);
    lab.set_env("DOVETAIL_LOG", "info");
    let ran = lab.exec(&["go"]).await.expect_code(0);
    let told: Vec<&str> = ran
        .stderr
        .lines()
        .filter_map(|line| line.split_once("got ")?.1.split_whitespace().next())
        .collect();
    let numbers: Vec<usize> = told
        .iter()
        .map(|told| told.split_once(':').unwrap().0.parse().unwrap())
        .collect();
    assert_eq!(numbers, (0..told.len()).collect::<Vec<_>>(), "{told:?}");
    assert!(
        told[0].ends_with(":thread.started") && told.last().unwrap().ends_with(":turn.completed"),
        "{told:?}"
    );
    assert_eq!(told.len(), 13, "{told:?}");
}
