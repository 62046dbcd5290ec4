//! Looks into a shared library without running any of it: opening one runs its initialisers, so that what cannot be a
//! plugin is refused before.

use std::collections::BTreeSet;

use dovetail_native_api::Manifest as Inner;
use dovetail_native_api::abi::{ABI, MANIFEST_SYMBOL, SYMBOL};
use object::read::elf::ElfFile64;
use object::{Endianness, Object as _, ObjectKind, ObjectSegment as _, ObjectSymbol as _, elf};
use semver::Version;
use serde::Deserialize;

use crate::convert::reason;
use crate::manifest::Kind;

/// A manifest names an id, a version and at most four kinds.
pub(super) const MOST_MANIFEST: u64 = 64 << 10;

/// What a library says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// The version of the boundary that it was built for; always this host's.
    pub abi: u32,
    /// The version of the contract that it was built for.
    pub contract: Version,
    /// The id that it has in it, fit to be printed.
    pub id: String,
    /// What it is, as far as that is known here.
    pub kinds: BTreeSet<Kind>,
    /// The libraries that it needs, as it names them. They are the system's, and pinned by nothing.
    pub needs: Vec<String>,
    /// All of its manifest, as it stands in it.
    pub(super) manifest: Vec<u8>,
}

/// Why bytes are no native plugin. Reads after its name: ``plugin `x` `` or a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotALibrary {
    /// Something else.
    #[error("is not a shared library: {0}")]
    Other(&'static str),
    /// It ends in the middle, or its parts lead nowhere.
    #[error("is not a whole shared library: {0}")]
    Damaged(String),
    /// For another processor.
    #[error("is a shared library for {theirs}, this machine is {ours}")]
    Machine {
        /// What it was built for.
        theirs: String,
        /// What this is.
        ours: &'static str,
    },
    /// A library without something that every native plugin exports.
    #[error("is a shared library, but does not export `{0}`")]
    NoSymbol(&'static str),
    /// Its manifest is none.
    #[error("has a manifest in it that is not understood: {0}")]
    Manifest(String),
    /// Built for another version of the boundary.
    #[error("was built for version {theirs} of the native interface, this host has version {ABI}")]
    Version {
        /// The library's.
        theirs: u32,
    },
}

impl NotALibrary {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Other(_) => {
                "build it with `crate-type = [\"cdylib\"]`, or with `cc -shared -fPIC`".to_owned()
            }
            Self::Damaged(_) => "the file may be incomplete: build or download it again".to_owned(),
            Self::Machine { ours, .. } => format!("get or build it for {ours}"),
            Self::NoSymbol(_) => {
                "export what `dovetail_native.h` describes; in Rust: `export_plugin!`".to_owned()
            }
            Self::Version { theirs } if *theirs > ABI => {
                "update dovetail, or install an older version of the plugin".to_owned()
            }
            Self::Manifest(_) | Self::Version { .. } => super::REBUILD.to_owned(),
        }
    }
}

/// Checks that bytes are a shared library for this machine that exports what a native plugin does.
///
/// # Errors
/// Says what they are instead.
pub fn check(bytes: &[u8]) -> Result<Outline, NotALibrary> {
    check_format(bytes)?;
    check_machine(bytes)?;
    let damaged = |error: object::Error| NotALibrary::Damaged(error.to_string());
    let file = ElfFile64::<Endianness>::parse(bytes).map_err(damaged)?;
    match file.kind() {
        ObjectKind::Dynamic => {}
        ObjectKind::Executable => return Err(NotALibrary::Other("it is a program")),
        ObjectKind::Relocatable => {
            return Err(NotALibrary::Other("it is an object file, not linked yet"));
        }
        _ => return Err(NotALibrary::Other("it is an ELF file of another kind")),
    }
    // The linker maps these without a look; what lies behind the end of the file would be a crash later.
    for segment in file.segments() {
        segment.data().map_err(damaged)?;
    }
    let exports = file.exports().map_err(damaged)?;
    if !exports.iter().any(|e| e.name() == SYMBOL.as_bytes()) {
        return Err(NotALibrary::NoSymbol(SYMBOL));
    }
    let manifest = manifest(&file)?;
    let inner = understood(manifest)?;
    let named = |name: &String| Kind::ALL.into_iter().find(|kind| kind.name() == name);
    Ok(Outline {
        abi: inner.abi,
        contract: Version::parse(&inner.api).map_err(|_| {
            NotALibrary::Manifest(format!("`{}` is no version", reason(&inner.api)))
        })?,
        id: reason(&inner.id),
        kinds: inner.kinds.iter().filter_map(named).collect(),
        needs: needs(&file, bytes).map_err(damaged)?,
        manifest: manifest.to_vec(),
    })
}

/// The manifest as it stands in the file, without the zero that ends it in C.
fn manifest<'d>(file: &ElfFile64<'d, Endianness>) -> Result<&'d [u8], NotALibrary> {
    let named = |symbol: &object::read::elf::ElfSymbol64<'d, '_, Endianness>| {
        symbol.name_bytes() == Ok(MANIFEST_SYMBOL.as_bytes()) && symbol.is_definition()
    };
    let symbol = file
        .dynamic_symbols()
        .find(named)
        .ok_or(NotALibrary::NoSymbol(MANIFEST_SYMBOL))?;
    let (at, length) = (symbol.address(), symbol.size());
    if length == 0 || length > MOST_MANIFEST {
        return Err(NotALibrary::Manifest(format!("it has {length} bytes")));
    }
    // What cannot be read in one segment is not there.
    let inside = |segment: object::read::elf::ElfSegment64<'d, '_, Endianness>| {
        segment.data_range(at, length).ok().flatten()
    };
    let bytes = file.segments().find_map(inside);
    let bytes = bytes.ok_or_else(|| NotALibrary::Manifest("it is not in the file".to_owned()))?;
    Ok(bytes.strip_suffix(&[0]).unwrap_or(bytes))
}

fn understood(manifest: &[u8]) -> Result<Inner, NotALibrary> {
    /// What manifests of all versions have.
    #[derive(Deserialize)]
    struct Any {
        abi: u32,
    }
    let failed = |error: serde_json::Error| NotALibrary::Manifest(reason(&error.to_string()));
    let Any { abi: theirs } = serde_json::from_slice(manifest).map_err(failed)?;
    if theirs != ABI {
        return Err(NotALibrary::Version { theirs });
    }
    serde_json::from_slice(manifest).map_err(failed)
}

/// The first bytes tell what somebody took for a library.
fn check_format(bytes: &[u8]) -> Result<(), NotALibrary> {
    let what = match bytes {
        [0x7f, b'E', b'L', b'F', ..] => return Ok(()),
        [] => "it is empty",
        [0, b'a', b's', b'm', ..] => {
            "it is WebAssembly: leave `native = true` out of its plugin.toml"
        }
        [b'M', b'Z', ..] => "it is for Windows",
        [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] | [0xca, 0xfe, 0xba, 0xbe, ..] => "it is for macOS",
        _ => "it starts with other bytes",
    };
    Err(NotALibrary::Other(what))
}

/// Class, byte order and machine stand at fixed places, whatever else the file is.
fn check_machine(bytes: &[u8]) -> Result<(), NotALibrary> {
    let (Some(&class), Some(&order), Some(machine)) =
        (bytes.get(4), bytes.get(5), bytes.get(18..20))
    else {
        return Err(NotALibrary::Damaged("it ends too early".to_owned()));
    };
    let machine = match order {
        elf::ELFDATA2MSB => u16::from_be_bytes([machine[0], machine[1]]),
        _ => u16::from_le_bytes([machine[0], machine[1]]),
    };
    let bits = if class == elf::ELFCLASS64 { 64 } else { 32 };
    let little = order == elf::ELFDATA2LSB;
    if (machine, bits, little) == (host_machine(), 64, cfg!(target_endian = "little")) {
        return Ok(());
    }
    Err(NotALibrary::Machine {
        theirs: format!("{} ({bits} bit)", machine_name(machine)),
        ours: std::env::consts::ARCH,
    })
}

/// The number of this machine in ELF files; one that is in none where it is not known here.
fn host_machine() -> u16 {
    match std::env::consts::ARCH {
        "x86_64" => elf::EM_X86_64,
        "aarch64" => elf::EM_AARCH64,
        "riscv64" => elf::EM_RISCV,
        "powerpc64" => elf::EM_PPC64,
        "s390x" => elf::EM_S390,
        "loongarch64" => elf::EM_LOONGARCH,
        _ => elf::EM_NONE,
    }
}

fn machine_name(machine: u16) -> String {
    match machine {
        elf::EM_X86_64 => "x86_64".to_owned(),
        elf::EM_386 => "x86".to_owned(),
        elf::EM_AARCH64 => "aarch64".to_owned(),
        elf::EM_ARM => "arm".to_owned(),
        elf::EM_RISCV => "riscv".to_owned(),
        elf::EM_PPC64 => "powerpc64".to_owned(),
        elf::EM_S390 => "s390x".to_owned(),
        elf::EM_LOONGARCH => "loongarch64".to_owned(),
        number => format!("machine {number}"),
    }
}

/// What the dynamic section names as needed.
fn needs(file: &ElfFile64<'_, Endianness>, bytes: &[u8]) -> Result<Vec<String>, object::Error> {
    let endian = file.endian();
    let sections = file.elf_section_table();
    let table = sections.dynamic_table(endian, bytes)?;
    let mut needs = Vec::new();
    for entry in table.iter() {
        if entry.tag == elf::DT_NEEDED {
            needs.push(String::from_utf8_lossy(table.string(entry)?).into_owned());
        }
    }
    Ok(needs)
}
