use std::fs;

use proptest::prelude::*;
use tar::{Builder, Header};

use super::*;

/// An archive made entry by entry, with names as they are given.
#[derive(Default)]
struct Made(Vec<u8>);

impl Made {
    fn entry(mut self, name: &[u8], kind: EntryType, content: &[u8]) -> Self {
        let mut header = Header::new_ustar();
        let field = &mut header.as_old_mut().name;
        field[..name.len()].copy_from_slice(name);
        if matches!(kind, EntryType::Symlink | EntryType::Link) {
            header.as_old_mut().linkname[..11].copy_from_slice(b"/etc/passwd");
        }
        header.set_entry_type(kind);
        header.set_mode(0o6777);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, content: &[u8]) -> Self {
        self.entry(name.as_bytes(), EntryType::Regular, content)
    }

    fn packed(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        zstd::encode_all(self.0.as_slice(), 3).expect("packed")
    }
}

/// What is in a directory after unpacking, or the sentence that says why nothing should be.
fn unpacked(archive: &[u8]) -> Result<Vec<(String, String)>, String> {
    let root = tempfile::tempdir().expect("a temporary directory");
    let into = root.path().join("into");
    fs::create_dir(&into).expect("made");
    let result = unpack(archive, archive.len() as u64, &into);
    let around: Vec<_> = fs::read_dir(root.path()).expect("listed").collect();
    assert_eq!(around.len(), 1, "nothing is written beside the directory");
    result.map_err(|error| error.to_string())?;
    let mut files = Vec::new();
    let mut dirs = vec![into.clone()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).expect("listed") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            let name = path.strip_prefix(&into).expect("inside");
            files.push((
                name.display().to_string(),
                fs::read_to_string(&path).expect("text"),
            ));
        }
    }
    files.sort();
    Ok(files)
}

#[track_caller]
fn check_refused(made: Made, words: &str) {
    let error = unpacked(&made.packed()).expect_err("it is refused");
    assert!(error.contains(words), "{error}");
}

#[test]
fn files_and_directories_are_laid_out_with_modes_of_our_own() {
    use std::os::unix::fs::PermissionsExt as _;
    let made = Made::default()
        .entry(b"./", EntryType::Directory, b"")
        .entry(b"./a/", EntryType::Directory, b"")
        .file("./a/plugin.toml", b"id")
        .file("b/c", b"x");
    let packed = made.packed();
    assert_eq!(
        unpacked(&packed).expect("unpacked"),
        [
            ("a/plugin.toml".to_owned(), "id".to_owned()),
            ("b/c".to_owned(), "x".to_owned())
        ]
    );
    let dir = tempfile::tempdir().expect("a temporary directory");
    unpack(packed.as_slice(), packed.len() as u64, dir.path()).expect("unpacked");
    let mode = fs::metadata(dir.path().join("b/c"))
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o644);
}

#[test]
fn what_is_neither_file_nor_directory_is_refused() {
    for (kind, words) in [
        (EntryType::Symlink, "`a`, which is a symbolic link"),
        (EntryType::Link, "`a`, which is a hard link"),
        (EntryType::Char, "`a`, which is a device"),
        (EntryType::Block, "`a`, which is a device"),
        (EntryType::Fifo, "`a`, which is a pipe"),
        (EntryType::GNULongName, "extended header"),
        (EntryType::XHeader, "extended header"),
        (EntryType::GNUSparse, "of an unknown kind"),
        (EntryType::new(b'Z'), "of an unknown kind"),
    ] {
        check_refused(Made::default().entry(b"a", kind, b""), words);
    }
}

#[test]
fn paths_that_lead_elsewhere_are_refused() {
    for (name, words) in [
        ("../evil", "it goes up"),
        ("a/../../evil", "it goes up"),
        ("/etc/evil", "it is absolute"),
        ("a\\..\\evil", "characters"),
        (
            "a\nb",
            "`a\\nb`, which is no path inside a package: it has characters",
        ),
        ("a/b/c/d/e/f/g/h/i", "too deep"),
    ] {
        check_refused(Made::default().file(name, b"x"), words);
    }
    let broken = Made::default().entry(b"a\xff", EntryType::Regular, b"x");
    check_refused(broken, "characters");
}

#[test]
fn nothing_is_written_twice() {
    let twice = Made::default().file("a/b", b"1").file("./a//b", b"2");
    check_refused(twice, "holds `./a//b` twice");
    check_refused(
        Made::default().file("A/b", b"1").file("a/B", b"2"),
        "holds `a/B` twice",
    );
    let below_a_file = Made::default().file("a", b"1").file("a/b", b"2");
    check_refused(below_a_file, "cannot be unpacked to");
}

#[test]
fn bombs_are_refused_by_ratio_size_and_number() {
    let zeros = vec![0; 64 << 20];
    check_refused(
        Made::default().file("zeros", &zeros),
        "more than 100 times its size",
    );
    let mut many = Made::default();
    for index in 0..=MOST_ENTRIES {
        many = many.file(&format!("f{index}"), format!("{index}").as_bytes());
    }
    check_refused(many, "more than 4096 entries");
    // A size that is only claimed ends with the bytes that there are.
    let mut made = Made::default().file("a", b"x").0;
    made[124..136].copy_from_slice(b"77777777777\0");
    let mut header = Header::new_ustar();
    header.as_mut_bytes().copy_from_slice(&made[..512]);
    header.set_cksum();
    made[..512].copy_from_slice(header.as_bytes());
    let packed = zstd::encode_all(made.as_slice(), 3).expect("packed");
    assert!(unpacked(&packed).is_err());
}

#[test]
fn what_is_no_archive_or_only_the_beginning_of_one_is_refused() {
    let whole = Made::default().file("a", &[7; 5000]).packed();
    for bytes in [&b""[..], b"not an archive", &whole[..whole.len() / 2]] {
        let error = unpacked(bytes).expect_err("damaged");
        assert_eq!(error, "is not a whole .tar.zst archive");
    }
    // Only packed, no archive.
    let packed = zstd::encode_all(&b"hello"[..], 3).expect("packed");
    assert!(unpacked(&packed).is_err());
}

#[test]
fn what_other_tools_write_is_read() {
    let mut builder = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_size(2);
    header.set_mode(0o644);
    builder
        .append_data(&mut header, "notes/plugin.toml", &b"id"[..])
        .expect("added");
    let tar = builder.into_inner().expect("made");
    let packed = zstd::encode_all(tar.as_slice(), 19).expect("packed");
    assert_eq!(
        unpacked(&packed).expect("unpacked"),
        [("notes/plugin.toml".to_owned(), "id".to_owned())]
    );
}

proptest! {
    #[test]
    fn any_bytes_end_in_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let packed = zstd::encode_all(bytes.as_slice(), 1).expect("packed");
        // Whether it is taken does not matter here, only that it ends.
        drop(unpack(packed.as_slice(), packed.len() as u64, dir.path()));
        drop(unpack(bytes.as_slice(), bytes.len() as u64, dir.path()));
    }
}
