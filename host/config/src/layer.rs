//! One source of settings: a file or the command line.

use std::fmt;
use std::io::Read;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use crate::error::ConfigError;
use crate::line_index::LineIndex;
use crate::redact;
use crate::tree::{Entry, Node, Table};

/// No configuration that a person wrote is larger; a larger file is some other file.
const MAX_BYTES: u64 = 1 << 20;

/// Which layer, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LayerKind {
    /// Built into the host.
    Default,
    /// `/etc/codex/config.toml`.
    System,
    /// `$CODEX_HOME/config.toml`.
    User,
    /// `$CODEX_HOME/<name>.config.toml`.
    Profile,
    /// `.codex/config.toml` of a trusted project.
    Project,
    /// `-c` and other flags.
    CommandLine,
    /// `managed_config.toml`, which an administrator sets over everything else.
    Managed,
}

impl LayerKind {
    /// A word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::System => "system",
            Self::User => "user",
            Self::Profile => "profile",
            Self::Project => "project",
            Self::CommandLine => "command line",
            Self::Managed => "managed",
        }
    }
}

/// Where a value was set: an index into the layers, and a line (or the number of an override), from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) layer: u16,
    pub(crate) line: u32,
}

/// Where a value was set, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The layer.
    pub kind: LayerKind,
    /// The file and line, or the flag.
    pub source: Source,
}

/// What a place points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Part of the host.
    BuiltIn,
    /// A line (from 1) of a file.
    File {
        /// The file.
        path: Arc<Path>,
        /// The line.
        line: u32,
    },
    /// A flag, without its value.
    Flag(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::BuiltIn => f.write_str("the built-in defaults"),
            Source::File { path, line } => write!(f, "`{}` line {line}", path.display()),
            Source::Flag(flag) => write!(f, "`{flag}`"),
        }
    }
}

/// A layer's settings and what is needed to say where they came from.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub(crate) kind: LayerKind,
    pub(crate) path: Option<Arc<Path>>,
    /// For the command line: what each override is called.
    pub(crate) flags: Vec<String>,
    pub(crate) table: Table,
}

impl Layer {
    /// Reads a file; none where there is no such file.
    pub(crate) fn read(
        kind: LayerKind,
        path: &Path,
        index: u16,
    ) -> Result<Option<Self>, ConfigError> {
        let Some(text) = read_text(path)? else {
            return Ok(None);
        };
        Self::of_text(kind, path, &text, index).map(Some)
    }

    /// The same for the text that a file has, or is to have.
    pub(crate) fn of_text(
        kind: LayerKind,
        path: &Path,
        text: &str,
        index: u16,
    ) -> Result<Self, ConfigError> {
        let table = parse(text, index).map_err(|error| malformed(path, text, &error))?;
        Ok(Self {
            kind,
            path: Some(Arc::from(path)),
            flags: Vec::new(),
            table,
        })
    }

    /// The defaults of the host.
    pub(crate) fn defaults() -> Result<Self, ConfigError> {
        let text = include_str!("defaults.toml");
        let table =
            parse(text, 0).map_err(|error| malformed(Path::new("defaults.toml"), text, &error))?;
        Ok(Self {
            kind: LayerKind::Default,
            path: None,
            flags: Vec::new(),
            table,
        })
    }

    /// Where a line of this layer is.
    pub(crate) fn place(&self, line: u32) -> Place {
        let source = match (&self.path, self.flags.get((line as usize).wrapping_sub(1))) {
            (Some(path), _) => Source::File {
                path: Arc::clone(path),
                line,
            },
            (None, Some(flag)) => Source::Flag(flag.clone()),
            (None, None) => Source::BuiltIn,
        };
        Place {
            kind: self.kind,
            source,
        }
    }
}

/// The text of a file; none where there is no such file.
pub(crate) fn read_text(path: &Path) -> Result<Option<String>, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    };
    // Opening a pipe waits for whoever writes to it: for ever, if nobody does.
    if let Ok(metadata) = path.metadata()
        && (metadata.file_type().is_fifo() || metadata.file_type().is_socket())
    {
        return Err(ConfigError::NotAFile {
            path: path.to_owned(),
        });
    }
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(unreadable(error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ConfigError::TooLarge {
            path: path.to_owned(),
            limit: MAX_BYTES,
        });
    }
    String::from_utf8(bytes).map(Some).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        ConfigError::NotUtf8 {
            path: path.to_owned(),
            line: u32::try_from(line).unwrap_or(u32::MAX),
        }
    })
}

fn parse(text: &str, layer: u16) -> Result<Table, toml::de::Error> {
    let document = DeTable::parse(text)?;
    let lines = LineIndex::new(text);
    Ok(convert_table(document.into_inner(), &|offset| Origin {
        layer,
        line: lines.line(offset),
    }))
}

fn convert_table(table: DeTable<'_>, origin: &dyn Fn(usize) -> Origin) -> Table {
    let entry = |at: usize, value| Entry {
        node: convert(value, origin),
        origin: origin(at),
    };
    table
        .into_iter()
        .map(|(key, value)| {
            (
                key.get_ref().to_string(),
                entry(key.span().start, value.into_inner()),
            )
        })
        .collect()
}

fn convert(value: DeValue<'_>, origin: &dyn Fn(usize) -> Origin) -> Node {
    match value {
        DeValue::Table(table) => Node::Table(convert_table(table, origin)),
        DeValue::Array(items) => Node::Leaf(
            items
                .into_iter()
                .map(|item| convert(item.into_inner(), origin).to_json())
                .collect(),
        ),
        DeValue::String(text) => Node::Leaf(Value::String(text.into_owned())),
        DeValue::Boolean(flag) => Node::Leaf(Value::Bool(flag)),
        DeValue::Integer(number) => {
            Node::Leaf(match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Value::from(number),
                // Beyond 64 bits: kept as text, which every reader of a number refuses by name.
                Err(_) => Value::String(number.as_str().to_owned()),
            })
        }
        DeValue::Float(number) => Node::Leaf(match number.as_str().parse::<f64>() {
            Ok(number) if number.is_finite() => Value::from(number),
            // JSON has no infinities; kept as text, as above.
            Ok(_) | Err(_) => Value::String(number.as_str().to_owned()),
        }),
        DeValue::Datetime(time) => Node::Leaf(Value::String(time.to_string())),
    }
}

/// Turns a TOML value that has no place of its own (an override's) into a node.
pub(crate) fn convert_value(value: toml::Value, origin: Origin) -> Node {
    match value {
        toml::Value::Table(table) => Node::Table(
            table
                .into_iter()
                .map(|(key, value)| {
                    (
                        key,
                        Entry {
                            node: convert_value(value, origin),
                            origin,
                        },
                    )
                })
                .collect(),
        ),
        toml::Value::Array(items) => Node::Leaf(
            items
                .into_iter()
                .map(|item| convert_value(item, origin).to_json())
                .collect(),
        ),
        toml::Value::String(text) => Node::Leaf(Value::String(text)),
        toml::Value::Integer(number) => Node::Leaf(Value::from(number)),
        toml::Value::Float(number) => Node::Leaf(Value::from(number)),
        toml::Value::Boolean(flag) => Node::Leaf(Value::Bool(flag)),
        toml::Value::Datetime(time) => Node::Leaf(Value::String(time.to_string())),
    }
}

fn malformed(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let lines = LineIndex::new(text);
    let offset = error.span().map_or(0, |span| span.start.min(text.len()));
    let (line, column) = (lines.line(offset), lines.column(offset));
    ConfigError::Malformed {
        path: PathBuf::from(path),
        line,
        column,
        problem: error.message().replace('\n', ", "),
        excerpt: excerpt(line, column, &redact::mask_line(lines.text_of(line))),
    }
}

/// The line as compilers show it, with a mark under the column.
fn excerpt(line: u32, column: u32, text: &str) -> String {
    let number = line.to_string();
    let pad = " ".repeat(number.len());
    let under = " ".repeat(column as usize - 1);
    format!("  {number} | {text}\n  {pad} | {under}^")
}
