//! Tool calls put together from fragments, whichever way a server tells which call a fragment belongs to.

use serde_json::Value;

use crate::chunk::Fragment;

/// More calls than a model makes at once, with room: a server that streams more is broken, and would have each of its
/// fragments looked for among all of them.
const MOST_CALLS: usize = 256;

/// A call, as far as it has come.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Call {
    index: Option<u64>,
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) arguments: String,
    /// What the service wants back with it.
    pub(crate) extra: Option<Value>,
}

/// The calls of one answer.
#[derive(Debug, Default)]
pub(crate) struct Calls(Vec<Call>);

/// There are more calls than any model makes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Calls {
    /// Adds a fragment to the call it belongs to.
    pub(crate) fn add(&mut self, fragment: &Fragment<'_>) -> Result<(), TooMany> {
        let at = match self.place(fragment) {
            Some(at) => at,
            None if self.0.len() == MOST_CALLS => return Err(TooMany),
            None => {
                self.0.push(Call {
                    index: fragment.index,
                    ..Call::default()
                });
                self.0.len() - 1
            }
        };
        self.0[at].add(fragment);
        Ok(())
    }

    /// The calls, in the order in which they began.
    pub(crate) fn take(&mut self) -> Vec<Call> {
        std::mem::take(&mut self.0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The call that a fragment goes on with; none where it begins one.
    fn place(&self, fragment: &Fragment<'_>) -> Option<usize> {
        let last_with = |index| self.0.iter().rposition(|call| call.index == Some(index));
        let by_count = match fragment.index {
            Some(index) => last_with(index),
            None => self.0.len().checked_sub(1),
        };
        let by_id = |id: &str| {
            self.0
                .iter()
                .rposition(|call| call.id.as_deref() == Some(id))
        };
        match fragment.id {
            // Servers exist that count no calls, and such that give each the number 0: an id of its own tells them apart.
            Some(id) => by_id(id).or_else(|| by_count.filter(|at| self.0[*at].id.is_none())),
            // Some leave out both: then a name begins a call, unless the one before it has none yet, or has the same
            // and is not whole: there are servers that name the call in each of its fragments.
            None if fragment.index.is_none() && fragment.name.is_some() => {
                by_count.filter(|at| self.0[*at].may_be_called(fragment.name))
            }
            // And some give whole calls the number 0 and no ids.
            None => by_count.filter(|at| !self.0[*at].is_followed_by(fragment)),
        }
    }
}

impl Call {
    /// Whether a fragment with this name may go on with it.
    fn may_be_called(&self, name: Option<&str>) -> bool {
        self.name.is_none() || self.name.as_deref() == name && !self.is_whole()
    }

    /// Whether a fragment of its number is another call: it is whole, and that one has a name and arguments.
    fn is_followed_by(&self, fragment: &Fragment<'_>) -> bool {
        fragment.name.is_some() && !fragment.arguments.is_empty() && self.is_whole()
    }

    fn is_whole(&self) -> bool {
        let arguments = self.arguments.trim_end();
        // Looked at first, because most fragments end elsewhere: reading all of them again would take long.
        arguments.ends_with('}') && serde_json::from_str::<Value>(arguments).is_ok()
    }

    fn add(&mut self, fragment: &Fragment<'_>) {
        if self.id.is_none() {
            self.id = fragment.id.map(str::to_owned);
        }
        if self.extra.is_none() {
            self.extra = fragment.extra.cloned();
        }
        match (&mut self.name, fragment.name) {
            (name @ None, Some(piece)) => *name = Some(piece.to_owned()),
            // Most servers repeat a name, if they send it twice; few cut it.
            (Some(name), Some(piece)) if self.arguments.is_empty() && name != piece => {
                name.push_str(piece);
            }
            _ => {}
        }
        self.arguments.push_str(&fragment.arguments);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Given = (
        Option<u64>,
        Option<&'static str>,
        Option<&'static str>,
        &'static str,
    );

    #[track_caller]
    fn check(fragments: &[Given], expected: &[(Option<&str>, Option<&str>, &str)]) {
        let mut calls = Calls::default();
        for (index, id, name, arguments) in fragments.iter().copied() {
            let fragment = Fragment {
                index,
                id,
                name,
                arguments: arguments.into(),
                extra: None,
            };
            calls.add(&fragment).expect("few calls");
        }
        let calls = calls.take();
        let calls: Vec<_> = calls
            .iter()
            .map(|call| {
                (
                    call.id.as_deref(),
                    call.name.as_deref(),
                    call.arguments.as_str(),
                )
            })
            .collect();
        assert_eq!(calls, expected);
    }

    #[test]
    fn calls_that_are_counted_may_come_in_turns() {
        check(
            &[
                (Some(0), Some("a"), Some("f"), ""),
                (Some(1), Some("b"), Some("g"), "{"),
                (Some(0), None, None, "{\"x\""),
                (Some(1), None, None, "}"),
                (Some(0), Some("a"), Some("f"), ":1}"),
            ],
            &[
                (Some("a"), Some("f"), "{\"x\":1}"),
                (Some("b"), Some("g"), "{}"),
            ],
        );
    }

    #[test]
    fn calls_that_all_have_the_same_number_have_ids() {
        check(
            &[
                (Some(0), Some("a"), Some("f"), "{}"),
                (Some(0), Some("b"), Some("f"), "{\"y\""),
                (Some(0), None, None, ":2}"),
            ],
            &[
                (Some("a"), Some("f"), "{}"),
                (Some("b"), Some("f"), "{\"y\":2}"),
            ],
        );
    }

    #[test]
    fn calls_without_numbers_and_ids_begin_with_a_name() {
        check(
            &[
                (None, None, Some("f"), "{}"),
                (None, None, Some("g"), "{\"z"),
                (None, None, None, "\":3}"),
            ],
            &[(None, Some("f"), "{}"), (None, Some("g"), "{\"z\":3}")],
        );
    }

    #[test]
    fn whole_calls_that_all_have_the_same_number_and_no_id_are_told_apart() {
        check(
            &[
                (Some(0), None, Some("f"), "{}"),
                (Some(0), None, Some("f"), "{\"y\":2}"),
                (Some(0), None, Some("f"), ""),
            ],
            &[(None, Some("f"), "{}"), (None, Some("f"), "{\"y\":2}")],
        );
    }

    #[test]
    fn a_call_that_is_named_in_each_fragment_is_one() {
        for index in [None, Some(0)] {
            check(
                &[
                    (index, None, Some("f"), ""),
                    (index, None, Some("f"), "{\"z\":{}"),
                    (index, None, Some("f"), "}"),
                    (index, None, Some("g"), "{}"),
                ],
                &[(None, Some("f"), "{\"z\":{}}"), (None, Some("g"), "{}")],
            );
        }
    }

    #[test]
    fn a_name_in_pieces_is_put_together_and_a_late_id_taken() {
        check(
            &[
                (Some(0), None, Some("exec_"), ""),
                (Some(0), None, Some("command"), ""),
                (Some(0), Some("late"), None, "{}"),
            ],
            &[(Some("late"), Some("exec_command"), "{}")],
        );
    }

    #[test]
    fn there_is_an_end_to_calls() {
        let mut calls = Calls::default();
        let mut add = |index| {
            calls.add(&Fragment {
                index: Some(index),
                id: None,
                name: None,
                arguments: "".into(),
                extra: None,
            })
        };
        assert!((0..MOST_CALLS as u64).all(|index| add(index).is_ok()));
        assert_eq!(add(u64::MAX), Err(TooMany));
        assert_eq!(add(7), Ok(()));
    }
}
