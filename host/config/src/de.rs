//! Reads the merged tree into the structures of [`crate::file`], and notes what they have no place for.
//!
//! Errors say what kind of value was expected and found, never the value, which may be a secret; only the words of a
//! setting with a fixed set of them are shown.

use std::cell::RefCell;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::Value;

use crate::error::quoted;

/// Tables that plugins may have more keys in.
const OPEN_TABLES: &[&str] = &["ProviderTable", "ProviderAuth"];

/// A key that a structure has no place for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stray {
    pub(crate) path: Vec<String>,
    /// The keys that there would have been a place for.
    pub(crate) known: &'static [&'static str],
    /// Whether a plugin may know it.
    pub(crate) is_open: bool,
}

/// A value that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// Where it is, the outermost key first.
    pub(crate) path: Vec<String>,
    /// What is wrong with it.
    pub(crate) problem: String,
}

/// Reads a value, and gives the keys that were left over.
pub(crate) fn read<T: DeserializeOwned>(value: &Value) -> Result<(T, Vec<Stray>), Mismatch> {
    let strays = RefCell::new(Vec::new());
    let reader = Reader {
        value,
        trail: &Trail::Root,
        strays: &strays,
    };
    let read = T::deserialize(reader)?;
    Ok((read, strays.into_inner()))
}

/// Says what was expected and what kind of value is there.
pub(crate) fn expected(what: &str, found: &Value) -> String {
    let found = match found {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "a table",
    };
    format!("expected {what}, found {found}")
}

/// The keys that lead to where the reader is.
enum Trail<'t> {
    Root,
    Key(&'t Trail<'t>, &'t str),
}

impl Trail<'_> {
    fn keys(&self) -> Vec<String> {
        match self {
            Self::Root => Vec::new(),
            Self::Key(before, key) => {
                let mut keys = before.keys();
                keys.push((*key).to_owned());
                keys
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Reader<'t> {
    value: &'t Value,
    trail: &'t Trail<'t>,
    strays: &'t RefCell<Vec<Stray>>,
}

impl Reader<'_> {
    fn not(&self, what: &str) -> Mismatch {
        Mismatch {
            path: self.trail.keys(),
            problem: expected(what, self.value),
        }
    }
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => visitor.visit_u64(number),
                (None, Some(number)) => visitor.visit_i64(number),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => visitor.visit_str(text),
            Value::Array(items) => visitor.visit_seq(Items {
                reader: self,
                items: items.iter(),
            }),
            Value::Object(fields) => visitor.visit_map(Fields::new(self, fields, None)),
        }
        .map_err(|error| error.at(self.trail))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        if !self.value.is_boolean() {
            return Err(self.not("true or false"));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        if !self.value.is_u64() {
            return Err(self.not("a whole number, 0 or more"));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        if !self.value.is_i64() {
            return Err(self.not("a whole number"));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        if !self.value.is_number() {
            return Err(self.not("a number"));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        if !self.value.is_string() {
            return Err(self.not("a string"));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_str(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        if !self.value.is_array() {
            return Err(self.not("an array"));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        if !self.value.is_object() {
            return Err(self.not("a table"));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        let Value::Object(entries) = self.value else {
            return Err(self.not("a table"));
        };
        let known = Some(Known {
            keys: fields,
            is_open: OPEN_TABLES.contains(&name),
        });
        visitor
            .visit_map(Fields::new(self, entries, known))
            .map_err(|error| error.at(self.trail))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        let Value::String(text) = self.value else {
            return Err(self.not("a string"));
        };
        let word: StrDeserializer<'_, Mismatch> = text.as_str().into_deserializer();
        visitor
            .visit_enum(word)
            .map_err(|error| error.at(self.trail))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u16 u32 u128 f32 char bytes byte_buf unit unit_struct newtype_struct
        tuple tuple_struct identifier ignored_any
    }
}

struct Items<'t> {
    reader: Reader<'t>,
    items: std::slice::Iter<'t, Value>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Mismatch;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Mismatch> {
        let read = |value| {
            seed.deserialize(Reader {
                value,
                ..self.reader
            })
        };
        self.items.next().map(read).transpose()
    }
}

/// The keys that a structure has a place for, and whether a plugin may know others.
#[derive(Debug, Clone, Copy)]
struct Known {
    keys: &'static [&'static str],
    is_open: bool,
}

struct Fields<'t> {
    reader: Reader<'t>,
    entries: serde_json::map::Iter<'t>,
    known: Option<Known>,
    current: Option<(&'t str, &'t Value)>,
}

impl<'t> Fields<'t> {
    fn new(
        reader: Reader<'t>,
        entries: &'t serde_json::Map<String, Value>,
        known: Option<Known>,
    ) -> Self {
        Self {
            reader,
            entries: entries.iter(),
            known,
            current: None,
        }
    }
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Mismatch;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Mismatch> {
        for (key, value) in self.entries.by_ref() {
            match self.known {
                Some(Known { keys, is_open }) if !keys.contains(&key.as_str()) => {
                    let path = Trail::Key(self.reader.trail, key).keys();
                    self.reader.strays.borrow_mut().push(Stray {
                        path,
                        known: keys,
                        is_open,
                    });
                }
                Some(_) | None => {
                    self.current = Some((key, value));
                    let name: StrDeserializer<'_, Mismatch> = key.as_str().into_deserializer();
                    return seed.deserialize(name).map(Some);
                }
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Mismatch> {
        let (key, value) = self.current.take().unwrap_or(("", &Value::Null));
        let trail = Trail::Key(self.reader.trail, key);
        seed.deserialize(Reader {
            value,
            trail: &trail,
            strays: self.reader.strays,
        })
        .map_err(|error| error.at(&trail))
    }
}

impl Mismatch {
    fn new(problem: String) -> Self {
        Self {
            path: Vec::new(),
            problem,
        }
    }

    /// Says where it is, unless that is known already.
    fn at(mut self, trail: &Trail<'_>) -> Self {
        if self.path.is_empty() {
            self.path = trail.keys();
        }
        self
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

impl std::error::Error for Mismatch {}

impl serde::de::Error for Mismatch {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Bool(_) => "true or false",
            Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
            Unexpected::Str(_) | Unexpected::Char(_) => "a string",
            Unexpected::Seq => "an array",
            Unexpected::Map => "a table",
            _ => "something else",
        };
        Self::new(format!("expected {wanted}, found {found}"))
    }

    fn invalid_value(_: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::new(format!("expected {wanted}"))
    }

    fn unknown_variant(word: &str, variants: &'static [&'static str]) -> Self {
        Self::new(format!(
            "\"{word}\" is not one of {}",
            quoted(variants.iter().copied())
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default)]
    struct Outer {
        count: Option<u64>,
        inner: BTreeMap<String, Inner>,
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default)]
    struct Inner {
        word: Option<Word>,
        list: Option<Vec<bool>>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Word {
        This,
        That,
    }

    #[track_caller]
    fn check_problem(value: Value, path: &[&str], problem: &str) {
        let error = read::<Outer>(&value).expect_err("it does not fit");
        assert_eq!(
            (error.path, error.problem.as_str()),
            (path.iter().map(|key| (*key).to_owned()).collect(), problem)
        );
    }

    #[test]
    fn problems_say_where_they_are() {
        check_problem(
            json!({"count": -1}),
            &["count"],
            "expected a whole number, 0 or more, found a number",
        );
        check_problem(
            json!({"inner": {"a": {"word": "other"}}}),
            &["inner", "a", "word"],
            "\"other\" is not one of `this`, `that`",
        );
        check_problem(
            json!({"inner": {"a": {"list": [true, 1]}}}),
            &["inner", "a", "list"],
            "expected true or false, found a number",
        );
        check_problem(
            json!({"inner": {"a": "secret"}}),
            &["inner", "a"],
            "expected a table, found a string",
        );
    }

    #[test]
    fn keys_without_a_place_are_noted_and_the_rest_is_read() {
        let value =
            json!({"count": 3, "cuont": 4, "inner": {"a": {"word": "that", "zebra": {"x": 1}}}});
        let (outer, strays) = read::<Outer>(&value).expect("it fits");
        assert_eq!(outer.count, Some(3));
        assert_eq!(outer.inner["a"].word, Some(Word::That));
        let paths: Vec<String> = strays.iter().map(|stray| stray.path.join(".")).collect();
        assert_eq!(paths, ["cuont", "inner.a.zebra"]);
        assert_eq!(strays[0].known, ["count", "inner"]);
    }
}
