//! Libraries that are not loaded, and the sentences that say why.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::manifest::HOST_API;
use crate::plugin_dir::{self, PluginDirError};

/// What makes it end the process if any of its code runs.
const DEADLY: &str = "-DCONSTRUCTOR=_exit(9)";

/// A library with such a manifest in its file.
fn with_manifest(manifest: &str) -> Vec<u8> {
    let text = manifest.replace('"', "\\\"");
    crude(&[DEADLY, &format!("-DMANIFEST=\"{text}\"")])
}

#[tokio::test]
async fn tables_that_are_not_as_agreed_are_refused_with_what_to_do() {
    let lab = Lab::new();
    let rebuild = "build it again with the `dovetail_native.h` of this version";
    let size = size_of::<dovetail_native_api::abi::Table>();
    for (argument, expected) in [
        (
            "-DABI=2",
            "was built for version 2 of the native interface, this host has version 1\n\
             update dovetail, or install an older version of the plugin"
                .to_owned(),
        ),
        (
            "-DABI=0",
            format!(
                "was built for version 0 of the native interface, this host has version 1\n{rebuild}"
            ),
        ),
        (
            "-DSIZE=8",
            format!(
                "has a table of 8 bytes, but version 1 of the native interface has {size}\n{rebuild}"
            ),
        ),
        (
            "-DCALL=NULL",
            format!("has a table without `call`\n{rebuild}"),
        ),
        (
            "-DRELEASE=NULL",
            format!("has a table without `release`\n{rebuild}"),
        ),
        (
            "-DMANIFEST_LEN=0",
            format!("has a manifest of 0 bytes in its table\n{rebuild}"),
        ),
        (
            "-DNO_TABLE",
            "says that it cannot work here: `dovetail_native_plugin` gave no table".to_owned(),
        ),
        (
            "-DTABLE_MANIFEST=\"{}\"",
            format!("has another manifest in its table than in its file\n{rebuild}"),
        ),
        ("-DREFUSE", "does not start: it wants a token".to_owned()),
    ] {
        let refusal = lab.refusal(&[argument]).await;
        assert_eq!(refusal, format!("plugin `crude` {expected}"), "{argument}");
    }
    // A later version may append to the table.
    let longer = crude(&["-DSIZE=4096"]);
    assert!(
        lab.try_load(CRUDE_MANIFEST, &longer, Value::Null)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn what_a_library_lacks_or_was_built_for_is_known_before_any_of_it_runs() {
    let lab = Lab::new();
    let rebuild = "build it again with the `dovetail_native.h` of this version";
    let export = "export what `dovetail_native.h` describes; in Rust: `export_plugin!`";
    let odd = "has a manifest in it that is not understood";
    for (library, expected) in [
        (
            crude(&[DEADLY, "-DNO_ENTRY"]),
            format!("is a shared library, but does not export `dovetail_native_plugin`\n{export}"),
        ),
        (
            crude(&[DEADLY, "-DNO_MANIFEST", "-DTABLE_MANIFEST=\"{}\""]),
            format!(
                "is a shared library, but does not export `dovetail_native_manifest`\n{export}"
            ),
        ),
        (
            with_manifest("{}"),
            format!("{odd}: missing field `abi` at line 1 column 2\n{rebuild}"),
        ),
        (
            with_manifest("{\"abi\":1}"),
            format!("{odd}: missing field `id` at line 1 column 9\n{rebuild}"),
        ),
        (
            with_manifest("nonsense"),
            format!("{odd}: expected ident at line 1 column 2\n{rebuild}"),
        ),
        (
            with_manifest("{\"abi\":1,\"id\":\"crude\",\"api\":\"one\",\"kinds\":[]}"),
            format!("{odd}: `one` is no version\n{rebuild}"),
        ),
        (
            // A later version may say the rest in another way.
            with_manifest("{\"abi\":2}"),
            "was built for version 2 of the native interface, this host has version 1\n\
             update dovetail, or install an older version of the plugin"
                .to_owned(),
        ),
        (
            with_manifest("{\"abi\":0}"),
            format!(
                "was built for version 0 of the native interface, this host has version 1\n{rebuild}"
            ),
        ),
    ] {
        let refusal = lab.refusal_of(CRUDE_MANIFEST, &library).await;
        assert_eq!(refusal, format!("plugin `crude` {expected}"));
    }
    let outline = outline::check(&own_crude()).expect("it is in order");
    assert_eq!((outline.abi, outline.id.as_str()), (1, "crude"));
    assert_eq!(outline.contract, HOST_API);
    assert_eq!(outline.kinds, BTreeSet::from([Kind::Tools]));
}

#[tokio::test]
async fn a_library_must_be_what_its_plugin_toml_says() {
    let lab = Lab::new();
    let inner = |id: &str, api: &str, kind: &str| {
        with_manifest(&format!(
            "{{\"abi\":1,\"id\":\"{id}\",\"api\":\"{api}\",\"kinds\":[\"{kind}\"],\"later\":true}}"
        ))
    };
    for (inner, expected) in [
        (
            inner("other", "0.1.0", "tools"),
            "has the library of plugin `other`\nname its folder and the id in plugin.toml `other`",
        ),
        (
            inner("crude", "9.0.0", "tools"),
            "was built for `dovetail:plugin@9.0.0`, this host speaks 0.1.0\nupdate dovetail, or install an older plugin",
        ),
        (
            inner("crude", "0.1.0", "hooks"),
            "says in its manifest that it is `tools`, but exports `hooks`\nwrite `kinds = [\"hooks\"]` in its plugin.toml",
        ),
    ] {
        assert_eq!(
            lab.refusal_of(CRUDE_MANIFEST, &inner).await,
            format!("plugin `crude` {expected}")
        );
    }
}

#[tokio::test]
async fn what_is_no_library_for_this_machine_is_refused_before_it_is_opened() {
    let lab = Lab::new();
    let whole = crude(&[DEADLY]);
    let patched = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        bytes
    };
    let ours = std::env::consts::ARCH;
    for (bytes, expected) in [
        (Vec::new(), "is not a shared library: it is empty".to_owned()),
        (b"#!/bin/sh\n".to_vec(), "is not a shared library: it starts with other bytes".to_owned()),
        (
            b"\0asm\x0d\0\x01\0".to_vec(),
            "is not a shared library: it is WebAssembly: leave `native = true` out of its plugin.toml".to_owned(),
        ),
        (b"MZ\x90\0".to_vec(), "is not a shared library: it is for Windows".to_owned()),
        (patched(16, 1), "is not a shared library: it is an object file, not linked yet".to_owned()),
        (patched(16, 2), "is not a shared library: it is a program".to_owned()),
        (patched(18, 0xf3), format!("is a shared library for riscv (64 bit), this machine is {ours}")),
        (patched(4, 1), format!("is a shared library for {ours} (32 bit), this machine is {ours}")),
        (whole[..19].to_vec(), "is not a whole shared library: it ends too early".to_owned()),
    ] {
        let refusal = lab.refusal_of(CRUDE_MANIFEST, &bytes).await;
        let first = refusal.lines().next().unwrap_or_default();
        assert_eq!(first, format!("plugin `crude` {expected}"));
    }
    // Cut anywhere it is not whole, and its initialiser, which would end this process, does not run.
    for length in [64, 200, whole.len() / 2, whole.len() - 1] {
        let refusal = lab.refusal_of(CRUDE_MANIFEST, &whole[..length]).await;
        assert!(
            refusal.contains("is not a whole shared library"),
            "{length}: {refusal}"
        );
    }
}

#[tokio::test]
async fn a_library_that_needs_what_is_not_there_is_not_linked() {
    let lab = Lab::new();
    let missing = "-DCONSTRUCTOR=extern int nowhere_to_be_found(void); nowhere_to_be_found()";
    let refusal = lab.refusal(&[missing]).await;
    assert!(
        refusal
            .starts_with("plugin `crude` cannot be linked: undefined symbol: nowhere_to_be_found"),
        "{refusal}"
    );
}

#[tokio::test]
async fn nothing_native_is_loaded_unless_the_user_allows_it() {
    let lab = Lab::allowing(false);
    // Its initialiser would end this process.
    let library = crude(&[DEADLY]);
    assert_eq!(
        lab.refusal_of(CRUDE_MANIFEST, &library).await,
        format!(
            "plugin `crude` is native code, which runs without a sandbox, and native plugins are not allowed\n{ALLOW_HINT}"
        )
    );
}

#[tokio::test]
async fn a_projects_plugin_is_never_native() {
    let lab = Lab::new();
    let mut request = request(CRUDE_MANIFEST, &crude(&[DEADLY]), Value::Null);
    request.found.scope = lock::Scope::Project("/p".into());
    let error = lab.runtime.load(request).await.expect_err("it is refused");
    assert!(matches!(
        error.problem(),
        LoadProblem::Native(NativeProblem::OfProject)
    ));
}

#[tokio::test]
async fn the_bytes_that_were_digested_are_the_ones_that_run() {
    let lab = Lab::new();
    let dir = lab.dir.path().join("crude");
    std::fs::create_dir(&dir).expect("made");
    let write = |name: &str, bytes: &[u8]| std::fs::write(dir.join(name), bytes).expect("written");
    write("plugin.toml", CRUDE_MANIFEST.as_bytes());
    write("crude.so", &own_crude());
    for path in [lab.dir.path().to_owned(), dir.clone(), dir.join("crude.so")] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("changed");
    }
    let found = plugin_dir::read(&dir, &lock::Scope::User).expect("it is in order");
    // After the check and before it is opened, somebody puts another one there.
    write("crude.so", &crude(&[DEADLY]));
    let grant = Grant::intersect(&found.manifest.request, &found.manifest.request);
    let request = LoadRequest {
        found,
        grant,
        secrets: BTreeMap::new(),
        config: Value::Null,
        records: None,
    };
    let plugin = lab.runtime.load(request).await.expect("it loads");
    assert_eq!(
        call(&plugin, "well").await,
        Ok("opened 1, released 01".to_owned())
    );
}

#[test]
fn native_files_that_others_can_change_are_refused_when_they_are_found() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let dir = root.path().join("crude");
    std::fs::create_dir(&dir).expect("made");
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("changed");
    };
    std::fs::write(dir.join("plugin.toml"), CRUDE_MANIFEST).expect("written");
    let library = dir.join("crude.so");
    std::fs::write(&library, crude(&[])).expect("written");
    mode(root.path(), 0o700);
    mode(&dir, 0o755);
    mode(&library, 0o664);
    let error = plugin_dir::read(&dir, &lock::Scope::User).expect_err("its group can write it");
    assert_eq!(
        error.to_string(),
        format!(
            "`{}` can be written by its group: native code must be its owner's alone to change",
            library.display()
        )
    );
    let hint = format!("chmod go-w {}", library.display());
    assert_eq!(error.hint(), Some(hint));
    mode(&library, 0o644);
    assert!(plugin_dir::read(&dir, &lock::Scope::User).is_ok());
    let project = lock::Scope::Project(root.path().to_owned());
    let refused = plugin_dir::read(&dir, &project);
    assert!(matches!(refused, Err(PluginDirError::NativeProject(_))));
    std::fs::remove_file(&library).expect("removed");
    std::os::unix::fs::symlink("/bin/sh", &library).expect("made");
    let refused = plugin_dir::read(&dir, &lock::Scope::User);
    assert!(matches!(refused, Err(PluginDirError::Link(_))));
}
