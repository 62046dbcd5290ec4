//! Settings with a fixed set of values.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! choices {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// All values as they are written.
            pub const VARIANTS: &'static [&'static str] = &[$($text,)+];

            /// The value as it is written.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            /// Reads a value as it is written.
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

choices! {
    /// Where a login is kept.
    LoginStore {
        /// In `auth.json`.
        File = "file",
        /// In the system's keyring.
        Keyring = "keyring",
        /// In the system's keyring where there is one, else in `auth.json`.
        Auto = "auto",
        /// Nowhere: it ends with the process.
        Ephemeral = "ephemeral",
    }
}

choices! {
    /// The only kind of login that is allowed.
    LoginMethod {
        /// An API key.
        Api = "api",
        /// An account.
        Chatgpt = "chatgpt",
    }
}

choices! {
    /// When a person is asked before a command runs.
    ApprovalPolicy {
        /// Before anything that is not known to only read.
        Untrusted = "untrusted",
        /// After a command failed in the sandbox.
        OnFailure = "on-failure",
        /// Where the model asks for it.
        OnRequest = "on-request",
        /// By a table of its own.
        Granular = "granular",
        /// Never.
        Never = "never",
    }
}

choices! {
    /// What commands may do to the machine.
    SandboxMode {
        /// Read.
        ReadOnly = "read-only",
        /// Write to the working directory and declared roots too.
        WorkspaceWrite = "workspace-write",
        /// Everything.
        DangerFullAccess = "danger-full-access",
    }
}

choices! {
    /// What the limit counts after which a conversation is compacted.
    CompactLimitScope {
        /// All that the model reads.
        Total = "total",
        /// What came after the first request since the conversation began or was compacted last.
        BodyAfterPrefix = "body_after_prefix",
    }
}

choices! {
    /// How requests are queued by the service.
    ServiceTier {
        /// Sooner.
        Fast = "fast",
        /// The service's own name for `fast`.
        Priority = "priority",
        /// Later and cheaper.
        Flex = "flex",
        /// As the service likes, whatever the thread asked for before.
        Default = "default",
    }
}

impl ServiceTier {
    /// The value in requests; none where the key is left out.
    pub fn wire(self) -> Option<&'static str> {
        match self {
            Self::Fast | Self::Priority => Some("priority"),
            Self::Flex => Some("flex"),
            Self::Default => None,
        }
    }
}

choices! {
    /// Whether the hosted web search is offered.
    WebSearchMode {
        /// Not at all.
        Disabled = "disabled",
        /// From the service's cache.
        Cached = "cached",
        /// From the service's index.
        Indexed = "indexed",
        /// From the web.
        Live = "live",
    }
}

choices! {
    /// Which variables commands inherit.
    InheritEnv {
        /// All.
        All = "all",
        /// Those a shell needs.
        Core = "core",
        /// None.
        None = "none",
    }
}

choices! {
    /// What is kept of prompts.
    HistoryPersistence {
        /// All.
        SaveAll = "save-all",
        /// Nothing.
        None = "none",
    }
}

choices! {
    /// Whether a project's own configuration and plugins are read.
    TrustLevel {
        /// They are.
        Trusted = "trusted",
        /// They are not.
        Untrusted = "untrusted",
    }
}

impl Default for SandboxMode {
    /// The most careful one.
    fn default() -> Self {
        Self::ReadOnly
    }
}
