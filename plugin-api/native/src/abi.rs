//! `include/dovetail_native.h` in Rust.

/// The layout and rules that this crate follows.
pub const ABI: u32 = 1;

/// The function that a library exports.
pub const SYMBOL: &str = "dovetail_native_plugin";

/// The text that it exports beside: a [`Manifest`](crate::Manifest) as JSON, which is read without running anything. A
/// zero may end it.
pub const MANIFEST_SYMBOL: &str = "dovetail_native_manifest";

/// What a call came to.
pub mod status {
    /// The output is the answer.
    pub const OK: i32 = 0;
    /// The output is an [`Error`](crate::Error).
    pub const ERROR: i32 = 1;
    /// The library broke; the output is a line of text.
    pub const PANIC: i32 = 2;
    /// The library does not implement the operation.
    pub const UNKNOWN: i32 = 3;
}

/// Bytes that the library made.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Bytes {
    /// May be null where `len` is 0.
    pub data: *mut u8,
    /// How many.
    pub len: usize,
}

impl Bytes {
    /// None.
    pub const EMPTY: Self = Self {
        data: std::ptr::null_mut(),
        len: 0,
    };
}

/// Does an operation. Unwinding out of it ends the process.
pub type Call = unsafe extern "C-unwind" fn(
    op: u32,
    input: *const u8,
    input_len: usize,
    output: *mut Bytes,
) -> i32;

/// Takes back what a call gave.
pub type Release = unsafe extern "C-unwind" fn(output: Bytes);

/// What `dovetail_native_plugin` is.
pub type Entry = unsafe extern "C-unwind" fn() -> *const Table;

/// What the library is.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// [`ABI`], as the library knows it.
    pub abi: u32,
    /// The size of this structure, as the library knows it.
    pub size: u32,
    /// The text behind [`MANIFEST_SYMBOL`] once more.
    pub manifest: *const u8,
    /// How long that is.
    pub manifest_len: usize,
    /// Never null in a library that works.
    pub call: Option<Call>,
    /// Never null in a library that works.
    pub release: Option<Release>,
}

// SAFETY: a table is never changed, and what it points to lives and stays the same as long as the library is loaded.
unsafe impl Sync for Table {}

impl Table {
    /// A library's table.
    pub const fn new(manifest: &'static str, call: Call, release: Release) -> Self {
        Self {
            abi: ABI,
            // Five words; it fits.
            size: size_of::<Self>() as u32,
            manifest: manifest.as_ptr(),
            manifest_len: manifest.len(),
            call: Some(call),
            release: Some(release),
        }
    }
}
