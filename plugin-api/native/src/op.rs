//! The operations, by number. The first byte is the kind of plugin.

/// An operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Op {
    /// What it is across the boundary.
    pub number: u32,
    /// Its name in the contract, for people.
    pub name: &'static str,
}

macro_rules! ops {
    ($($(#[$doc:meta])* $constant:ident = $number:literal, $name:literal;)*) => {
        $($(#[$doc])* pub const $constant: Op = Op { number: $number, name: $name };)*

        /// All of them.
        pub const ALL: &[Op] = &[$($constant),*];
    };
}

ops! {
    /// Starts anew with an [`Opening`](crate::Opening).
    OPEN = 0x0001, "open";
    /// What a provider serves.
    PROVIDER_DESCRIBE = 0x0101, "describe";
    /// Resolves an endpoint.
    PROVIDER_CONFIGURE = 0x0102, "configure";
    /// Gets a credential.
    PROVIDER_PREPARE = 0x0103, "prepare";
    /// Signs a request.
    PROVIDER_AUTHORIZE = 0x0104, "authorize";
    /// Explains a failed response.
    PROVIDER_CLASSIFY = 0x0105, "classify";
    /// Recovers a refused credential.
    PROVIDER_RECOVER = 0x0106, "recover";
    /// The models on offer.
    PROVIDER_LIST_MODELS = 0x0107, "list-models";
    /// The tools on offer.
    TOOLS_LIST_TOOLS = 0x0201, "list-tools";
    /// Runs a tool.
    TOOLS_CALL_TOOL = 0x0202, "call-tool";
    /// What a hook wants to see.
    HOOKS_SUBSCRIPTIONS = 0x0301, "subscriptions";
    /// Asks a hook about an event.
    HOOKS_HANDLE = 0x0302, "handle";
    /// What a sink wants.
    SINK_SUBSCRIPTIONS = 0x0401, "subscriptions";
    /// Before a sink's first batch.
    SINK_OPEN = 0x0402, "open";
    /// A batch for a sink.
    SINK_DELIVER = 0x0403, "deliver";
    /// After a sink's last batch.
    SINK_CLOSE = 0x0404, "close";
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `OP_` constants and others of the header, by name.
    fn header() -> Vec<(&'static str, u32)> {
        let text = include_str!("../include/dovetail_native.h");
        let define = |line: &'static str| {
            let mut words = line
                .strip_prefix("#define DOVETAIL_")?
                .split_ascii_whitespace();
            let (name, value) = (words.next()?, words.next()?.trim_end_matches('u'));
            let number = match value.strip_prefix("0x") {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => value.parse(),
            };
            Some((name, number.ok()?))
        };
        text.lines().filter_map(define).collect()
    }

    #[test]
    fn the_header_has_the_same_operations() {
        let mut numbers: Vec<u32> = header()
            .iter()
            .filter(|(name, _)| name.starts_with("OP_"))
            .map(|(_, number)| *number)
            .collect();
        numbers.sort_unstable();
        let ours: Vec<u32> = ALL.iter().map(|op| op.number).collect();
        assert_eq!(numbers, ours);
    }

    #[test]
    fn the_header_has_the_same_statuses_and_version() {
        use crate::abi::{ABI, status};
        let value = |name| {
            let found = header().into_iter().find(|(known, _)| *known == name);
            found.map(|(_, number)| number)
        };
        let status = |number: i32| u32::try_from(number).ok();
        assert_eq!(value("NATIVE_ABI"), Some(ABI));
        assert_eq!(value("OK"), status(status::OK));
        assert_eq!(value("ERROR"), status(status::ERROR));
        assert_eq!(value("PANIC"), status(status::PANIC));
        assert_eq!(value("UNKNOWN"), status(status::UNKNOWN));
    }
}
