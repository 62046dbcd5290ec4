//! Archives that were made to do harm, as real files.

use dovetail_tests::{Lab, MISBEHAVER, NOTES, TOO_GREEDY};
use tar::{EntryType, Header};
use wasm_encoder::{
    Component, ComponentExportKind, ComponentExportSection, ComponentInstanceSection, FieldType,
    Module, ModuleSection, StorageType, TypeSection, ValType,
};

use super::server::{Answer, Server};
use super::{check_refused, listed, package, package_with};
use crate::DOVETAIL;

/// A good plugin with one more entry, whose name and kind are as given.
fn with_entry(name: &str, kind: EntryType, content: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    let mut add = |name: &str, kind: EntryType, content: &[u8]| {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..6].copy_from_slice(b"../../");
        header.set_entry_type(kind);
        header.set_mode(0o6777);
        header.set_size(content.len() as u64);
        header.set_cksum();
        tar.extend_from_slice(header.as_bytes());
        tar.extend_from_slice(content);
        tar.resize(tar.len().next_multiple_of(512), 0);
    };
    add("plugin.toml", EntryType::Regular, NOTES.manifest.as_bytes());
    add("notes.wasm", EntryType::Regular, NOTES.wasm);
    add(name, kind, content);
    tar.extend([0; 1024]);
    zstd::encode_all(tar.as_slice(), 3).unwrap()
}

#[tokio::test]
async fn a_hostile_archive_is_refused_and_leaves_nothing_behind() {
    let lab = Lab::bare(DOVETAIL);
    let zeros = vec![0; 64 << 20];
    let whole = package(&NOTES);
    let cases = [
        (
            with_entry("a", EntryType::Symlink, b""),
            "`a`, which is a symbolic link",
        ),
        (
            with_entry("a", EntryType::Link, b""),
            "`a`, which is a hard link",
        ),
        (
            with_entry("a", EntryType::Char, b""),
            "`a`, which is a device",
        ),
        (
            with_entry("a", EntryType::Fifo, b""),
            "`a`, which is a pipe",
        ),
        (
            with_entry("../a", EntryType::Regular, b"x"),
            "`../a`, which is no path inside a package: it goes up",
        ),
        (
            with_entry("/tmp/a", EntryType::Regular, b"x"),
            "it is absolute",
        ),
        (
            with_entry("plugin.toml", EntryType::Regular, b"x"),
            "holds `plugin.toml` twice",
        ),
        (
            with_entry("PLUGIN.toml", EntryType::Regular, b"x"),
            "holds `PLUGIN.toml` twice",
        ),
        (
            with_entry("zeros", EntryType::Regular, &zeros),
            "more than 100 times its size",
        ),
        (
            whole[..whole.len() / 2].to_vec(),
            "is not a whole .tar.zst archive",
        ),
        (b"hello".to_vec(), "is not a whole .tar.zst archive"),
        (
            zstd::encode_all(&[0; 1024][..], 3).unwrap(),
            "holds no plugin",
        ),
    ];
    for (archive, words) in cases {
        lab.write("evil.tar.zst", archive);
        check_refused(
            &lab,
            &["evil.tar.zst"],
            1,
            &["the package `evil.tar.zst`", words, "nothing was installed"],
        )
        .await;
    }
}

#[tokio::test]
async fn a_plugin_that_could_not_run_is_not_installed_from_an_archive_either() {
    let lab = Lab::bare(DOVETAIL);
    lab.write("greedy.tar.zst", package(&TOO_GREEDY));
    check_refused(
        &lab,
        &["greedy.tar.zst"],
        1,
        &["plugin `too-greedy` imports `dovetail:plugin/http", "net"],
    )
    .await;
    let other = NOTES.manifest.replace("\"tools\"", "\"hooks\"");
    lab.write("other.tar.zst", package_with(&NOTES, &other, NOTES.wasm));
    check_refused(&lab, &["other.tar.zst"], 1, &["its component exports"]).await;
    lab.write(
        "future.tar.zst",
        package_with(&NOTES, &NOTES.manifest.replace("^0.1", "^7"), NOTES.wasm),
    );
    check_refused(
        &lab,
        &["future.tar.zst"],
        1,
        &["this host speaks", "the host is older"],
    )
    .await;
}

/// A component that exports an instance of the name of a tool server's, around a module.
fn hollow(module: &Module) -> Vec<u8> {
    let mut component = Component::new();
    component.section(&ModuleSection(module));
    let mut instances = ComponentInstanceSection::new();
    instances.export_items(Vec::<(&str, ComponentExportKind, u32)>::new());
    component.section(&instances);
    let mut exports = ComponentExportSection::new();
    let name = "dovetail:plugin/tools@0.1.0";
    exports.export(name, ComponentExportKind::Instance, 0, None);
    component.section(&exports);
    component.finish()
}

#[tokio::test]
async fn what_the_engine_cannot_run_or_the_contract_does_not_say_is_not_installed() {
    let field = FieldType {
        element_type: StorageType::Val(ValType::I32),
        mutable: true,
    };
    let mut types = TypeSection::new();
    types.ty().struct_([field]);
    let mut collected = Module::new();
    collected.section(&types);
    for (wasm, words) in [
        (
            hollow(&collected),
            "is damaged or uses WebAssembly features that this host does not have",
        ),
        (
            hollow(&Module::new()),
            "does not follow the contract `dovetail:plugin`",
        ),
    ] {
        let lab = Lab::bare(DOVETAIL);
        lab.write("new.tar.zst", package_with(&NOTES, NOTES.manifest, &wasm));
        lab.write("new/plugin.toml", NOTES.manifest);
        lab.write("new/notes.wasm", &wasm);
        for source in ["new.tar.zst", "./new"] {
            check_refused(
                &lab,
                &[source],
                1,
                &["plugin `notes`", words, "nothing was installed"],
            )
            .await;
        }
    }
}

#[tokio::test]
async fn a_package_is_fetched_only_with_encryption_or_from_this_machine() {
    let lab = Lab::bare(DOVETAIL);
    check_refused(
        &lab,
        &["http://plugins.example/notes.tar.zst"],
        1,
        &["would be fetched without encryption: use https://"],
    )
    .await;
    let server = Server::start().await;
    server.play(
        "/away.tar.zst",
        Answer::redirect("http://plugins.example/notes.tar.zst"),
    );
    check_refused(
        &lab,
        &[&server.url("/away.tar.zst")],
        1,
        &["it redirects without encryption"],
    )
    .await;
    check_refused(
        &lab,
        &[&server.url("/gone.tar.zst")],
        1,
        &["the server answers 404"],
    )
    .await;
    server.play("/here.tar.zst", Answer::redirect("/notes.tar.zst"));
    server.play("/notes.tar.zst", Answer::ok(package(&NOTES)));
    let url = server.url("/here.tar.zst");
    lab.run(&["plugin", "install", "--yes", &format!("{url}?token=t0ken")])
        .await
        .expect_code(1);
    lab.run(&["plugin", "install", "--yes", &url])
        .await
        .expect_code(0);
    assert_eq!(
        listed(&lab, "notes").await["package"]["source"],
        url.as_str()
    );
}

#[tokio::test]
async fn a_digest_that_was_named_is_kept_to() {
    let lab = Lab::bare(DOVETAIL);
    lab.write("notes.tar.zst", package(&NOTES));
    let zeros = "0".repeat(64);
    check_refused(
        &lab,
        &["notes.tar.zst", "--sha256", &zeros],
        3,
        &["the package has the digest sha256:", &zeros],
    )
    .await;
}

#[tokio::test]
async fn a_bundle_that_holds_a_plugin_twice_or_one_that_is_broken_is_refused_whole() {
    use dovetail_package::pack::{File, pack};
    let lab = Lab::bare(DOVETAIL);
    let file = |path: &str, content: &[u8]| File {
        path: path.to_owned(),
        content: content.to_vec(),
    };
    let notes = |dir: &str| {
        vec![
            file(&format!("{dir}/plugin.toml"), NOTES.manifest.as_bytes()),
            file(&format!("{dir}/notes.wasm"), NOTES.wasm),
        ]
    };
    lab.write(
        "two.tar.zst",
        pack([notes("a"), notes("b")].concat()).unwrap(),
    );
    check_refused(&lab, &["two.tar.zst"], 1, &["holds a plugin twice"]).await;
    let broken = vec![
        file("misbehaver/plugin.toml", MISBEHAVER.manifest.as_bytes()),
        file("misbehaver/misbehaver.wasm", b"\0asm"),
    ];
    lab.write(
        "half.tar.zst",
        pack([notes("notes"), broken].concat()).unwrap(),
    );
    check_refused(
        &lab,
        &["half.tar.zst"],
        1,
        &["misbehaver.wasm", "not a WebAssembly component"],
    )
    .await;
}
