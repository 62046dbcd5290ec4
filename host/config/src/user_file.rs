//! Changes of the user's own file, with everything else in it kept: comments, order, and how it is written.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike};

use crate::error::ConfigError;
use crate::layer;
use crate::replace::replace;

/// The table of providers' tables.
const PROVIDERS: &str = "model_providers";

/// Why a file could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// It cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It is not TOML, so that nothing can be added to it.
    #[error("cannot change `{}`, since it is not valid TOML", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// It has something else where the change should go.
    #[error("cannot change `{}`, since `{key}` is something else there", path.display())]
    InTheWay {
        /// The file.
        path: PathBuf,
        /// The dotted key.
        key: String,
    },
    /// There is such a table.
    #[error("`{}` has a table `[{PROVIDERS}.{id}]` already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
        /// The provider.
        id: String,
    },
    /// Somebody else changed it meanwhile.
    #[error("`{}` was changed by somebody else meanwhile", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// Whoever made it says that it stays as it is.
    #[error("`{}` is read-only", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The user's file, and what is to become of it. Nothing is written before [`UserFile::write`].
#[derive(Debug, Clone)]
pub struct UserFile {
    path: PathBuf,
    original: String,
    text: String,
}

impl UserFile {
    /// Reads `$CODEX_HOME/config.toml`; one that is not there is empty.
    ///
    /// # Errors
    /// It cannot be read, or is not TOML.
    pub fn open(home: &Path) -> Result<Self, EditError> {
        let link = home.join("config.toml");
        // What a link points to is changed, and the link stays one.
        let path = link.canonicalize().unwrap_or(link);
        let original = layer::read_text(&path)?.unwrap_or_default();
        let file = Self {
            path,
            text: original.clone(),
            original,
        };
        file.document()?;
        Ok(file)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says now.
    pub fn original(&self) -> &str {
        &self.original
    }

    /// What it is to say.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it has a table of this provider.
    pub fn has_provider(&self, id: &str) -> bool {
        let document = self.document().ok(); // It could be read when it was opened.
        let tables = document
            .as_ref()
            .and_then(|document| document.get(PROVIDERS));
        tables
            .and_then(Item::as_table_like)
            .is_some_and(|tables| tables.contains_key(id))
    }

    /// Adds the table of a provider, at the end of the file. With `replace`, one that is there is replaced where it is.
    ///
    /// # Errors
    /// There is one and it is not to be replaced, or something else stands in its place.
    pub fn put_provider(
        &mut self,
        id: &str,
        fields: &Map<String, Value>,
        replace: bool,
    ) -> Result<(), EditError> {
        let mut document = self.document()?;
        let Some(providers) = document.get_mut(PROVIDERS) else {
            self.append(id, fields);
            return Ok(());
        };
        let inline = providers.is_inline_table();
        let tables = providers
            .as_table_like_mut()
            .ok_or_else(|| self.in_the_way(PROVIDERS.to_owned()))?;
        match tables.get_mut(id) {
            Some(_) if !replace => {
                return Err(EditError::Exists {
                    path: self.path.clone(),
                    id: id.to_owned(),
                });
            }
            Some(table) => {
                let like = table.as_table_like_mut();
                like.ok_or_else(|| self.in_the_way(format!("{PROVIDERS}.{id}")))?
                    .clear();
                if let Some(table) = table.as_table_mut() {
                    table.set_implicit(false);
                }
                if let Some(like) = table.as_table_like_mut() {
                    fill(like, fields);
                }
            }
            None if inline => {
                tables.insert(id, Item::Value(to_toml(&Value::Object(fields.clone()))));
            }
            None => {
                self.append(id, fields);
                return Ok(());
            }
        }
        self.text = document.to_string();
        Ok(())
    }

    /// Sets a text at the top of the file, where it is or before all tables.
    ///
    /// # Errors
    /// Something else than a value is there.
    pub fn set(&mut self, key: &str, text: &str) -> Result<(), EditError> {
        let mut document = self.document()?;
        let value = toml_edit::Value::from(text);
        let has_values = document.iter().any(|(_, item)| item.is_value());
        match document.get_mut(key) {
            Some(item) => {
                let old = item
                    .as_value_mut()
                    .ok_or_else(|| self.in_the_way(key.to_owned()))?;
                let decor = old.decor().clone();
                *old = value;
                *old.decor_mut() = decor;
            }
            None if has_values => {
                document.insert(key, Item::Value(value));
            }
            None => {
                let end = self.line_end();
                let gap = if self.text.is_empty() { "" } else { end };
                self.text = format!("{key} = {value}{end}{gap}{}", self.text);
                return Ok(());
            }
        }
        self.text = document.to_string();
        Ok(())
    }

    /// Replaces the file in one step, unless somebody else did meanwhile. Its mode stays; a new one is for the user alone.
    ///
    /// # Errors
    /// It was changed, is read-only, or cannot be written; it is then as it was.
    pub fn write(&self) -> Result<(), EditError> {
        // A file that cannot be looked at cannot be written either, which is said below.
        let read_only = std::fs::metadata(&self.path).is_ok_and(|it| it.permissions().readonly());
        if read_only {
            return Err(EditError::ReadOnly {
                path: self.path.clone(),
            });
        }
        let now = layer::read_text(&self.path)?.unwrap_or_default();
        if now != self.original {
            return Err(EditError::Changed {
                path: self.path.clone(),
            });
        }
        replace(&self.path, self.text.as_bytes()).map_err(|source| EditError::Write {
            path: self.path.clone(),
            source,
        })
    }

    fn document(&self) -> Result<DocumentMut, EditError> {
        self.text.parse().map_err(|_| EditError::Malformed {
            path: self.path.clone(),
        })
    }

    fn in_the_way(&self, key: String) -> EditError {
        EditError::InTheWay {
            path: self.path.clone(),
            key,
        }
    }

    /// As text, so that not a byte of what is there changes.
    fn append(&mut self, id: &str, fields: &Map<String, Value>) {
        let block = provider_block(id, fields);
        let end = self.line_end();
        if !self.text.is_empty() {
            if !self.text.ends_with('\n') {
                self.text.push_str(end);
            }
            self.text.push_str(end);
        }
        self.text.push_str(&block.replace('\n', end));
    }

    /// How its lines end.
    fn line_end(&self) -> &'static str {
        match self.text.contains("\r\n") {
            true => "\r\n",
            false => "\n",
        }
    }
}

/// The table of a provider as a person would write it.
fn provider_block(id: &str, fields: &Map<String, Value>) -> String {
    let mut table = Table::new();
    fill(&mut table, fields);
    let mut providers = Table::new();
    // No header of its own.
    providers.set_implicit(true);
    providers.insert(id, Item::Table(table));
    let mut document = DocumentMut::new();
    document.insert(PROVIDERS, Item::Table(providers));
    document.to_string()
}

fn fill(table: &mut dyn TableLike, fields: &Map<String, Value>) {
    for (key, value) in fields {
        table.insert(key, Item::Value(to_toml(value)));
    }
}

/// What has no counterpart in TOML is left out.
fn to_toml(value: &Value) -> toml_edit::Value {
    match value {
        Value::Bool(flag) => (*flag).into(),
        Value::Number(number) => match number.as_i64() {
            Some(number) => number.into(),
            None => number.as_f64().unwrap_or_default().into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => {
            let items = items.iter().filter(|item| !item.is_null());
            items.map(to_toml).collect::<Array>().into()
        }
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(_, value)| !value.is_null());
            let pairs = fields.map(|(key, value)| (key.as_str(), to_toml(value)));
            pairs.collect::<InlineTable>().into()
        }
        Value::Null => "".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use serde_json::json;

    use super::*;

    /// A file with this text, and where it is.
    fn file(text: &str) -> (tempfile::TempDir, UserFile) {
        let home = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(home.path().join("config.toml"), text).expect("written");
        let file = UserFile::open(home.path()).expect("readable");
        (home, file)
    }

    fn fields() -> Map<String, Value> {
        let table = json!({ "name": "A \"b\"", "base_url": "https://a.example/v1", "auth": { "command": "t", "args": ["x"] } });
        table.as_object().expect("a table").clone()
    }

    const BLOCK: &str = "[model_providers.acme]\nname = 'A \"b\"'\nbase_url = \"https://a.example/v1\"\n\
                         auth = { command = \"t\", args = [\"x\"] }\n";

    #[track_caller]
    fn put(before: &str, replace: bool, expected: &str) {
        let (_home, mut file) = file(before);
        file.put_provider("acme", &fields(), replace)
            .expect("it can be put there");
        assert_eq!(file.text(), expected);
    }

    #[test]
    fn a_table_is_added_and_nothing_else_changes() {
        put("", false, BLOCK);
        let odd = "# mine\nmodel='x'  # the best\n\n[ features ]\na=true\n# the end";
        put(odd, false, &format!("{odd}\n\n{BLOCK}"));
        let other = "[model_providers.b]\nname = \"B\"\n\n[projects.\"/x\"]\n";
        put(other, false, &format!("{other}\n{BLOCK}"));
        put(
            "a = 1\r\n",
            false,
            &format!("a = 1\r\n\r\n{}", BLOCK.replace('\n', "\r\n")),
        );
    }

    #[test]
    fn tables_in_a_line_stay_in_a_line() {
        put(
            "model_providers = { b = { name = \"B\" } } # two\n",
            false,
            "model_providers = { b = { name = \"B\" } , acme = { name = 'A \"b\"', base_url = \"https://a.example/v1\", \
             auth = { command = \"t\", args = [\"x\"] } } } # two\n",
        );
    }

    #[test]
    fn a_table_is_replaced_where_it_is_and_only_where_that_is_wanted() {
        let before = "# top\n\n# about acme\n[model_providers.acme]\nname = \"Old\"\nhttp_headers = { a = \"b\" }\n\n\
                      [model_providers.acme.query_params]\nv = \"1\"\n\n# features\n[features]\n";
        let expected = format!("# top\n\n# about acme\n{BLOCK}\n# features\n[features]\n");
        put(before, true, &expected);
        let (_home, mut file) = file(before);
        let refused = file.put_provider("acme", &fields(), false);
        assert!(matches!(refused, Err(EditError::Exists { id, .. }) if id == "acme"));
        assert_eq!(file.text(), before);
    }

    #[test]
    fn a_value_at_the_top_is_set_where_it_is_or_before_the_tables() {
        for (before, expected) in [
            ("", "model_provider = \"acme\"\n"),
            (
                "# c\nmodel_provider = 'x'   # why\n[a]\n",
                "# c\nmodel_provider = \"acme\"   # why\n[a]\n",
            ),
            (
                "model = \"m\"\n\n[a]\n",
                "model = \"m\"\nmodel_provider = \"acme\"\n\n[a]\n",
            ),
            ("# c\n[a]\n", "model_provider = \"acme\"\n\n# c\n[a]\n"),
        ] {
            let (_home, mut file) = file(before);
            file.set("model_provider", "acme").expect("it can be set");
            assert_eq!(file.text(), expected);
        }
    }

    #[test]
    fn the_file_keeps_its_mode_and_a_change_of_somebody_else() {
        let (home, mut file) = file("a = 1\n");
        let path = home.path().join("config.toml");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o664)).expect("ours");
        file.put_provider("acme", &fields(), false).expect("valid");
        file.write().expect("written");
        let mode = std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode()
            & 0o777;
        assert_eq!(mode, 0o664);
        assert_eq!(
            std::fs::read_to_string(&path).expect("text"),
            format!("a = 1\n\n{BLOCK}")
        );
        let refused = file.write();
        assert!(matches!(refused, Err(EditError::Changed { .. })));
    }

    #[test]
    fn a_file_that_is_read_only_stays_as_it_is() {
        let (_home, mut file) = file("a = 1\n");
        let read_only = std::fs::Permissions::from_mode(0o444);
        std::fs::set_permissions(file.path(), read_only).expect("a mode");
        file.set("a", "x").expect("a value");
        let error = file.write().expect_err("refused");
        assert!(matches!(error, EditError::ReadOnly { .. }), "{error}");
        let text = std::fs::read_to_string(file.path()).expect("readable");
        assert_eq!(text, "a = 1\n");
    }

    #[test]
    fn what_is_no_table_is_left_alone() {
        let (_home, mut file) = file("model_providers = 1\n");
        let refused = file.put_provider("acme", &fields(), true);
        assert!(
            matches!(refused, Err(EditError::InTheWay { key, .. }) if key == "model_providers")
        );
    }
}
